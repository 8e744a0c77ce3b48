"""An alert is emitted where the policy says that what it reads is there, and else it is said why not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts import BY_NAME
from airflow_obs.catalog.replica import OF_THE_SERVER
from airflow_obs.generate.proven import proven
from airflow_obs.generate.rule import Emitted
from airflow_obs.generate.scopes import Withheld, decided
from airflow_obs.model import Severity
from airflow_obs.policy import Policy, load
from airflow_obs.policy.alerts import looks_back
from tests.generate.fleet import EVERY_SOURCE, one, policy


def of(alert: str, chosen: Policy) -> Emitted | Withheld:
    return next(found for found in decided(chosen, chosen.deployments[0]) if found.alert.name == alert)


def reason(alert: str, chosen: Policy) -> str:
    found = of(alert, chosen)
    assert isinstance(found, Withheld), f"{alert} is emitted"
    return found.reason


def emitted(alert: str, chosen: Policy) -> Emitted:
    found = of(alert, chosen)
    assert isinstance(found, Emitted), f"{alert} is not emitted: {found.reason}"
    return found


def without(*names: str) -> dict[str, Any]:
    """All sources but these."""
    return {name: source for name, source in EVERY_SOURCE.items() if name not in names}


def airflow(**facts: str) -> dict[str, str]:
    """What Airflow is, but for these."""
    return {"executor": "CeleryExecutor,KubernetesExecutor", "namespace": "data", "release": "prod", **facts}


LACKING: list[tuple[str, str, dict[str, Any], str]] = [
    ("database", "AirflowSchedulerDown", {"sources": without("database")}, "its collector jobs needs database, which"),
    ("health", "AirflowHealthUnhealthy", {"sources": without("health")}, "its collector health needs health, which"),
    ("broker", "AirflowBrokerEvicting", {"sources": without("broker")}, "its collector broker needs broker, which"),
    (
        "workers", "AirflowWorkerWithoutQueues", {"sources": {**EVERY_SOURCE, "broker": {"control": False}}},
        "its collector workers needs sources.broker with control, which",
    ),
    ("ingest", "AirflowSchedulerLoopSlow", {"sources": without("statsd")}, "needs sources.statsd or sources.otlp, which"),
    ("kubernetes", "AirflowContainerRestarting", {"sources": without("kubernetes")}, "does not list kube_state_metrics"),
    (
        "cadvisor", "AirflowContainerMemoryHigh", {"sources": {**EVERY_SOURCE, "kubernetes": {"cadvisor": False}}},
        "container_memory_working_set_bytes: sources.kubernetes of the deployment does not list cadvisor",
    ),
    (
        "executor", "AirflowQueueWithoutWorker", {"airflow": airflow(executor="LocalExecutor")},
        "it concerns Celery, and the executor is LocalExecutor",
    ),
    ("old", "AirflowDeadlinesMissed", {"airflow": airflow(version="3.0.2")}, "it is there from Airflow 3.1 on, and this is 3.0.2"),
    ("new", "AirflowSlaMissed", {"airflow": airflow(version="3.0.0b1")}, "it is there up to Airflow 2.11, and this is 3.0.0b1"),
    ("replicas", "AirflowTriggererMissing", {"replicas": {"triggerer": 0}}, "chart, replicas, sources, retention or push say"),
    (
        "replica", "AirflowDatabaseReadOnly", {"sources": {**EVERY_SOURCE, "database": {"replica": "db-2"}}},
        "chart, replicas, sources, retention or push say",
    ),
    ("switched off", "AirflowSchedulerDown", {"alerts": {"AirflowSchedulerDown": {"enabled": False}}}, "switches it off"),
]  # fmt: skip


@pytest.mark.parametrize(("alert", "changed", "why"), [case[1:] for case in LACKING], ids=[case[0] for case in LACKING])
def test_what_is_not_there_has_no_alerts(alert: str, changed: dict[str, Any], why: str) -> None:
    emitted(alert, policy(one()))
    assert why in reason(alert, policy(one(**changed)))


AT_A_REPLICA = {**EVERY_SOURCE, "database": {"replica": "db-2"}}
OF_ITS_DATABASE = {"database", "tables"}
"""The subjects of the alerts on the database itself."""


def test_at_a_replica_no_alert_judges_the_server_that_airflow_writes_to_by_another() -> None:
    def names(chosen: Policy) -> set[str]:
        return {
            found.alert.name
            for found in decided(chosen, chosen.deployments[0])
            if isinstance(found, Emitted) and found.alert.subject in OF_ITS_DATABASE
        }

    there, here = names(policy(one())), names(policy(one(sources=AT_A_REPLICA)))
    assert here - there == {"AirflowDatabaseReplicaDown"}
    assert here & there == {
        "AirflowDatabaseStale", "AirflowDatabaseReplicationStopped", "AirflowClockOff",
        "AirflowTransactionIdsAging", "AirflowTransactionIdsRunningOut",
        "AirflowTableLarge", "AirflowCleanUpLeftovers", "AirflowCleanUpBlind",
    }  # fmt: skip
    why = reason("AirflowDatabaseLockWait", policy(one(sources=AT_A_REPLICA)))
    assert why.startswith(f"{metrics.DB_LOCK_WAIT_OLDEST.name}: it is of the server that is read")


def test_at_a_replica_every_other_alert_is_there_and_none_reads_what_the_replica_cannot_tell() -> None:
    def others(chosen: Policy) -> dict[str, Emitted]:
        every = (found for found in decided(chosen, chosen.deployments[0]) if isinstance(found, Emitted))
        return {found.alert.name: found for found in every if found.alert.subject not in OF_ITS_DATABASE}

    here = others(policy(one(sources=AT_A_REPLICA)))
    # Counted by the rows that the server inserted: a standby inserts none.
    assert others(policy(one())).keys() - here.keys() == {"AirflowSlaMissed"}
    assert here.keys() - others(policy(one())).keys() == set()
    assert {name for name, found in here.items() if found.expr.families & OF_THE_SERVER} == set()
    assert "locks" not in here["AirflowCollectorAbsent"].at.collectors
    assert 'source="database"' not in here["AirflowApiServerDown"].expr.text


def test_a_collector_that_is_switched_off_has_no_alerts() -> None:
    off = policy(one(), collectors={"tables": {"enabled": False}})
    assert reason("AirflowTableLarge", off) == f"{metrics.TABLE_SIZE.name}: its collector tables is switched off"
    absent = emitted("AirflowCollectorAbsent", off)
    assert "tables" not in absent.at.collectors
    assert '"tables"' not in absent.expr.text


def test_what_airflow_sends_stands_in_for_the_database() -> None:
    sent = policy(one(sources={"statsd": {}}))
    shared = [metric for metric in metrics.ALL if metric.also == "ingest"]
    found = [one for one in decided(sent, sent.deployments[0]) if isinstance(one, Emitted)]
    assert shared
    assert {name for one in found for name in one.at.collectors} == {"ingest"}
    assert any(family in shared for one in found for family in one.expr.families)


def test_releases_and_executors_that_nobody_named_are_not_held_against_an_alert() -> None:
    for alert in ("AirflowDeadlinesMissed", "AirflowSlaMissed", "AirflowQueueWithoutWorker"):
        emitted(alert, load())


def test_clean_up_is_overdue_only_by_a_retention_that_somebody_chose() -> None:
    assert "retention or push say" in reason("AirflowCleanUpOverdue", policy(one()))
    emitted("AirflowCleanUpOverdue", policy(one(), retention={"days": 90}))


def test_an_alert_knows_the_thresholds_of_those_that_may_notify() -> None:
    """By which it is silent where another one tells the same, and worse."""
    worse = {"AirflowTransactionIdsRunningOut": {"threshold": 1_500_000_000}}
    assert "<= 1500000000" in emitted("AirflowTransactionIdsAging", policy(one(), alerts=worse)).expr.text
    for silent in ({"enabled": False}, {"shadow": True}, {"threshold": 400_000_000}):
        chosen = policy(one(), alerts={"AirflowTransactionIdsRunningOut": silent})
        assert "<=" not in emitted("AirflowTransactionIdsAging", chosen).expr.text


def test_what_is_absent_is_asked_of_what_the_alerts_read() -> None:
    """Families that only some releases have are expected of none where nobody named the release."""
    auto, named = policy(one()), policy(one(airflow=airflow(version="3.3.2")))
    families = {
        name: emitted("AirflowFamilyAbsent", chosen).at.always for name, chosen in (("auto", auto), ("named", named))
    }
    assert metrics.DEADLINES_MISSED in families["named"]
    assert metrics.DEADLINES_MISSED not in families["auto"]
    assert all(metric.always and not (metric.since or metric.until) for metric in families["auto"])
    health = policy(one(sources={"health": {}}))
    assert emitted("AirflowCollectorAbsent", health).at.collectors == ("health",)
    assert "chart, replicas, sources, retention or push say" in reason("AirflowFamilyAbsent", health)


def test_only_the_sources_of_kubernetes_that_alerts_read_are_looked_for() -> None:
    every = emitted("AirflowKubernetesMetricsAbsent", policy(one()))
    assert {"kube_state_metrics", "cadvisor", "kubelet"} <= set(every.at.sources)
    some = policy(one(sources={**EVERY_SOURCE, "kubernetes": {"kubelet": False}}))
    assert '"kubelet"' not in emitted("AirflowKubernetesMetricsAbsent", some).expr.text
    assert "chart, replicas, sources, retention or push say" in reason("AirflowKubernetesMetricsAbsent", load())


def test_the_numbers_are_those_of_the_policy() -> None:
    chosen = policy(
        one(alerts={"AirflowSchedulesOverdue": {"threshold": "90s"}}),
        alerts={"AirflowSchedulesOverdue": {"threshold": "20m", "for": "7m", "severity": "info", "shadow": True}},
        output={"labels": {"stage": "prod"}},
    )
    overdue = emitted("AirflowSchedulesOverdue", chosen)
    assert overdue.at.threshold == 90
    assert "> 90" in overdue.expr.text
    assert "threshold 1m30s" in overdue.annotations["summary"]
    assert (overdue.chosen.wait, overdue.chosen.severity) == (Decimal(420), Severity.INFO)
    assert overdue.labels == {
        "airflow": "prod", "namespace": "data", "severity": "info", "shadow": "true", "stage": "prod",
    }  # fmt: skip


def test_the_team_is_the_deployments_else_the_first_and_of_a_dag_its_own() -> None:
    teams = [{"name": "platform"}, {"name": "finance", "dag_prefixes": ["finance_"]}]
    first, own = policy(one(), teams=teams), policy(one(team="finance"), teams=teams)
    assert emitted("AirflowSchedulerDown", first).labels["team"] == "platform"
    assert emitted("AirflowSchedulerDown", own).labels["team"] == "finance"
    per_dag = emitted("AirflowDagRunFailed", first)
    assert "team" not in per_dag.labels
    assert per_dag.expr.labels
    assert "team" in per_dag.expr.labels
    nobody_has_dags = policy(one(), teams=teams[:1])
    assert emitted("AirflowDagRunFailed", nobody_has_dags).labels["team"] == "platform"


def test_labels_are_escaped_for_where_they_go_and_links_lead_somewhere_or_are_not_there() -> None:
    linked = policy(one(), dashboards={"grafana_url": "https://grafana.example.org/"})
    queue = emitted("AirflowQueueWithoutWorker", linked).annotations
    url = "https://grafana.example.org/d/airflow-obs-celery?var-airflow=prod"
    assert queue["dashboard_url"] == url + "&var-queue={{ $labels.queue | urlquery }}"
    assert queue["command"].endswith(
        """ --label 'queue={{ reReplaceAll "[^\\\\pL\\\\pN_.:/@%+,-]" "?" $labels.queue }}'"""
    )
    assert "dashboard_url" not in emitted("AirflowQueueWithoutWorker", policy(one())).annotations


@pytest.mark.parametrize("interval", ["1m", "2m"])
def test_what_the_site_did_not_write_follows_the_scrapes(interval: str) -> None:
    """Prometheus' own interval, and twice that: no alert of ours is refused, and none holds or looks back for less than two."""
    chosen = policy(one(), output={"scrape_interval": interval})
    proven(chosen, None)
    least = Decimal(str(chosen.output.two_scrapes))
    for found in decided(chosen, chosen.deployments[0]):
        if isinstance(found, Emitted):
            assert found.chosen.wait == 0 or found.chosen.wait >= least
            assert all(found.at.knobs[knob.name] >= least for knob in found.alert.knobs if looks_back(knob))


def test_steps_of_the_tests_fit_into_what_an_alert_looks_back_for() -> None:
    for found in decided(policy(one()), policy(one()).deployments[0]):
        if isinstance(found, Emitted):
            windows = [value for name, value in found.at.knobs.items() if "window" in name]
            assert all(window >= 4 * found.at.step for window in windows)
            assert found.at.horizon % found.at.step == 0
            assert found.at.horizon > found.chosen.wait + sum(windows)


@pytest.mark.parametrize("less", [{"enabled": False}, {"shadow": True}, {"severity": "info"}], ids=str)
def test_an_alert_is_silent_for_no_cause_that_is_told_less_loudly(less: dict[str, object]) -> None:
    def leaves_it(alerts: dict[str, object]) -> bool:
        return 'source="database"' in emitted("AirflowApiServerDown", policy(one(), alerts=alerts)).expr.text

    assert leaves_it({})
    assert not leaves_it({"AirflowDatabaseDown": less})


def test_it_is_silent_for_a_cause_that_is_told_as_loudly() -> None:
    info = {"severity": "info"}
    chosen = policy(one(), alerts={"AirflowDatabaseDown": info, "AirflowApiServerDown": info})
    assert 'source="database"' in emitted("AirflowApiServerDown", chosen).expr.text


@pytest.mark.parametrize("alert", ["AirflowExecutorSlotsGone", "AirflowExecutorSlotsLeaked"])
def test_leaked_slots_are_not_counted_by_the_figure_of_one_scheduler_of_several(alert: str) -> None:
    assert "replicas, sources, retention or push say" in reason(alert, policy(one(replicas={"scheduler": 2})))
    for counts in ({"scheduler": 1}, {}):
        emitted(alert, policy(one(replicas=counts)))
    emitted(alert, policy(one(sources={**EVERY_SOURCE, "otlp": {}})))


def test_every_alert_is_decided_in_the_order_of_the_catalogue() -> None:
    chosen = load()
    assert [found.alert.name for found in decided(chosen, chosen.deployments[0])] == list(BY_NAME)
