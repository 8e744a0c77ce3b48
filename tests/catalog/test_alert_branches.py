"""What alerts on the broker and on pods do for the other kinds of broker, chart and pod, which their own cases leave out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airflow_obs.catalog.alerts import BY_NAME
from airflow_obs.catalog.alerts.alert import Scope
from tests.tools import tool

AIRFLOW = 'airflow="a"'
REDIS = f'airflow_obs_broker_info{{{AIRFLOW},kind="redis",version="7"}}'
WAITING = f'airflow_obs_broker_queue_messages{{{AIRFLOW},queue="gpu"}}'
CONSUMERS = f'airflow_obs_broker_queue_consumers{{{AIRFLOW},queue="gpu"}}'
BLOCKED, HELD = (f"airflow_obs_broker_{name}{{{AIRFLOW}}}" for name in ("blocked_clients", "unacked_messages"))
WORKERS = f'airflow_obs_queue_workers{{{AIRFLOW},queue="gpu"}}'
TASKS = f'airflow_obs_celery_task_instances{{{AIRFLOW},queue="gpu",state="queued"}}'
EVICTED = f"airflow_obs_broker_evicted_keys_total{{{AIRFLOW}}}"
MEMORY, LIMIT = (f"airflow_obs_broker_{name}{{{AIRFLOW}}}" for name in ("memory_bytes", "memory_max_bytes"))
ALARM = f'airflow_obs_broker_alarm{{{AIRFLOW},alarm="disk",node="rabbit@a"}}'
ASKED = ("broker", "workers")
UNASKED = ("broker",)


def _redis(policy: str) -> str:
    return f'airflow_obs_broker_info{{{AIRFLOW},kind="redis",version="7",eviction_policy="{policy}"}}'


def _restarts(pod: str, namespace: str = "data") -> str:
    return f'kube_pod_container_status_restarts_total{{namespace="{namespace}",pod="{pod}",container="c"}}'


UNSERVED, RESTARTING = "AirflowQueueWithoutWorker", "AirflowContainerRestarting"
FULL, HIGH = "AirflowBrokerFull", "AirflowBrokerMemoryHigh"
CASES: dict[str, tuple[str, dict[str, Any], dict[str, str], bool]] = {
    "rabbitmq, nobody asks the workers": (UNSERVED, {"collectors": UNASKED}, {WAITING: "3x9", CONSUMERS: "0x9"}, True),
    "rabbitmq, a consumer": (UNSERVED, {"collectors": UNASKED}, {WAITING: "3x9", CONSUMERS: "1x9"}, False),
    "rabbitmq knows better than the workers": (
        UNSERVED, {"collectors": ASKED}, {WAITING: "3x9", CONSUMERS: "1x9", WORKERS: "0x9"}, False,
    ),
    "redis, nobody asks, nobody waits or holds": (
        UNSERVED, {"collectors": UNASKED}, {REDIS: "1x9", WAITING: "3x9", BLOCKED: "0x9", HELD: "0x9"}, True,
    ),
    "redis, nobody asks, all are busy": (
        UNSERVED, {"collectors": UNASKED}, {REDIS: "1x9", WAITING: "3x9", BLOCKED: "0x9", HELD: "1x9"}, False,
    ),
    "rabbitmq, an alarm": (FULL, {}, {ALARM: "1x9"}, True),
    "redis, full, and refuses": (FULL, {}, {_redis("noeviction"): "1x9", MEMORY: "9x9", LIMIT: "9x9"}, True),
    "redis, full of results, in a quiet night": (FULL, {}, {_redis("volatile-lru"): "1x9", MEMORY: "9x9", LIMIT: "9x9"}, False),
    "redis, full, and evicts": (FULL, {}, {_redis("allkeys-lru"): "1x9", MEMORY: "9x9", LIMIT: "9x9"}, False),
    "redis, without a limit": (FULL, {}, {_redis("noeviction"): "1x9", MEMORY: "9x9", LIMIT: " ".join(["Inf"] * 10)}, False),
    "redis, nearly full, and refuses": (HIGH, {}, {_redis("noeviction"): "1x9", MEMORY: "90x9", LIMIT: "100x9"}, True),
    "redis, nearly full of results": (HIGH, {}, {_redis("volatile-ttl"): "1x9", MEMORY: "90x9", LIMIT: "100x9"}, False),
    "redis, full, and nothing is left to evict": (
        HIGH, {"thresholds": {FULL: "0.98"}}, {_redis("volatile-lru"): "1x9", MEMORY: "98x9", LIMIT: "100x9", EVICTED: "7x9"}, True,
    ),
    "redis, full, and evicts results": (
        HIGH, {}, {_redis("volatile-lru"): "1x9", MEMORY: "98x9", LIMIT: "100x9", EVICTED: "7+1x9"}, False,
    ),
    "redis, full, and evicts whatever there is": (HIGH, {}, {_redis("allkeys-lru"): "1x9", MEMORY: "98x9", LIMIT: "100x9"}, False),
    "redis, more than nearly full": (
        HIGH, {"thresholds": {FULL: "0.98"}}, {_redis("noeviction"): "1x9", MEMORY: "99x9", LIMIT: "100x9"}, False,
    ),
    "rabbitmq, nearly full": (HIGH, {}, {MEMORY: "90x9", LIMIT: "100x9"}, True),
    "a queue of another program's, or of a name that is gone": (
        UNSERVED, {"collectors": (*ASKED, "task_instances")}, {WAITING: "3x9", WORKERS: "0x9"}, False,
    ),
    "a queue in which tasks wait": (
        UNSERVED, {"collectors": (*ASKED, "task_instances")}, {WAITING: "3x9", WORKERS: "0x9", TASKS: "1x9"}, True,
    ),
    "no chart: any pod of the namespace": (RESTARTING, {"chart": "none"}, {_restarts("etl"): "0x4 3x4"}, True),
    "no chart: no pod of another": (RESTARTING, {"chart": "none"}, {_restarts("etl", "other"): "0x4 3x4"}, False),
    "a chart: no pod but the components'": (RESTARTING, {}, {_restarts("etl"): "0x4 3x4"}, False),
    "a chart: not those of a release with a like name": (RESTARTING, {}, {_restarts("my-airflow-worker-0"): "0x4 3x4"}, False),
    "the official chart with its standard names": (RESTARTING, {}, {_restarts("flow-airflow-worker-0"): "0x4 3x4"}, True),
    "the community's chart": (RESTARTING, {"chart": "community"}, {_restarts("flow-web-6d5-x"): "0x4 3x4"}, True),
}  # fmt: skip
NUMBERS = {
    UNSERVED: {},
    FULL: {"threshold": "0.98"},
    HIGH: {"threshold": "0.8"},
    RESTARTING: {"threshold": 3, "window": 3600},
}


def test_each_branch_fires_or_not_as_promtool_sees_it(tmp_path: Path) -> None:
    rules, tests = [], []
    for number, (name, (alert, scope, series, _)) in enumerate(CASES.items()):
        at = Scope("a", NUMBERS[alert], **{"chart": "official", "namespace": "data", "release": "flow", **scope})  # type: ignore[arg-type]  # decimals as text
        rules.append({"record": f"case:{number}", "expr": f"count({BY_NAME[alert].expr(at).text})"})
        fires = [{"labels": f"case:{number}", "value": 1}] if CASES[name][3] else []
        tests.append({
            "name": name, "interval": "1m", "input_series": [{"series": key, "values": said} for key, said in series.items()],
            "promql_expr_test": [{"expr": f"case:{number}", "eval_time": "8m", "exp_samples": fires}],
        })  # fmt: skip
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "cases", "rules": rules}]}))
    (tmp_path / "tests.yaml").write_text(json.dumps({"rule_files": ["rules.yaml"], "tests": tests}))
    run = subprocess.run(
        [tool("promtool"), "test", "rules", str(tmp_path / "tests.yaml")], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("chart", ["official", "community"])
def test_a_dot_in_a_release_is_no_wildcard(chart: str) -> None:
    at = Scope("a", {"threshold": 3, "window": 3600}, chart=chart, namespace="data", release="a.b")  # type: ignore[dict-item]  # as a number
    assert 'pod=~"a[.]b(' in BY_NAME[RESTARTING].expr(at).text
