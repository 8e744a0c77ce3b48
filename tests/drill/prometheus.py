"""One real Prometheus that scrapes exporters and judges the rules of each deployment for as long as that is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from airflow_obs.demo.exporter import Address
from airflow_obs.demo.keeper import Keeper
from tests.drill.policy import JUDGED, SCRAPED
from tests.e2e.processes import answers, free_port
from tests.eventually import eventually
from tests.tools import tool

NAME = "prometheus"

LONG = "1h"
"""Longer than any drill."""
PATIENCE = 60.0
"""Seconds that one answer is waited for."""


@dataclass(frozen=True)
class Firing:
    """An alert that fired: `since` and `until` are the moments (Unix seconds) of its first and last judgement as firing."""

    name: str
    severity: str
    labels: tuple[tuple[str, str], ...]
    since: float
    until: float


class Prometheus:
    """A Prometheus server; its `ALERTS` series say when which alert fired."""

    def __init__(self, keeper: Keeper, generated: Path, alertmanager: str) -> None:
        """`generated` holds rule files whose names begin with that of their deployment and a dot; `alertmanager` is HOST:PORT."""
        self._generated = generated
        self._alertmanager = alertmanager
        self._folder = keeper.folder
        self._configuration = self._folder / "prometheus.yml"
        self._written = ""
        self._judged: set[str] = set()
        self._reloads = ThreadPoolExecutor(1)
        (self._folder / "targets").mkdir()
        self._configure()
        address = f"127.0.0.1:{free_port()}"
        self._url = f"http://{address}"
        self._keeper = keeper
        keeper.start(
            NAME,
            [
                tool("prometheus"), f"--config.file={self._configuration}", f"--storage.tsdb.path={self._folder / 'tsdb'}",
                f"--web.listen-address={address}", "--web.enable-lifecycle",
                # After each reload it knows no Alertmanager for up to five seconds, and what it sends then is lost.
                f"--rules.alert.resend-delay={JUDGED}",
            ],
            cwd=self._folder,
        )  # fmt: skip
        eventually(self._is_ready, "Prometheus is ready")

    @contextmanager
    def scraping(self, deployment: str, address: Address) -> Iterator[None]:
        """Within, the exporter at this address is scraped, from some moment on."""
        target = self._folder / "targets" / f"{deployment}.json"
        # Whole or not at all: Prometheus reads a file of targets as soon as it is there.
        draft = target.with_suffix(".draft")
        draft.write_text(json.dumps([{"targets": [str(address)]}]))
        draft.rename(target)
        try:
            yield
        finally:
            target.unlink()

    def scrapes(self, address: Address) -> bool:
        """Whether the newest scrape of this exporter succeeded."""
        return bool(self._get("query", query=f'up{{instance="{address}"}} == 1')["result"])

    @contextmanager
    def judging(self, deployment: str) -> Iterator[Future[None]]:
        """Within, the deployment's rules are judged, from when what it gives is done."""
        self._judged.add(deployment)
        try:
            yield self._reloads.submit(self._reload)
        finally:
            # They are no longer once the next deployment comes: a reload takes a second or two of a core.
            self._judged.remove(deployment)

    def firing(self, deployment: str) -> set[str]:
        """The names of the alerts that fire now."""
        answer = self._get("query", query=f'ALERTS{{alertstate="firing",airflow="{deployment}"}}')
        return {str(series["metric"]["alertname"]) for series in answer["result"]}

    def said(self, deployment: str) -> dict[str, str]:
        """What each alert says that fires now: its summary. It waits while Prometheus takes up rules."""
        return {
            alert["labels"]["alertname"]: alert["annotations"]["summary"]
            for alert in self._get("alerts")["alerts"]
            if alert["state"] == "firing" and alert["labels"].get("airflow") == deployment
        }

    def fired(self, deployment: str) -> list[Firing]:
        """All that has fired since the drill began, in the order in which it began to."""
        # A range of raw samples, not a query at steps: the shortest firing is seen.
        answer = self._get("query", query=f'ALERTS{{alertstate="firing",airflow="{deployment}"}}[{LONG}]')
        found = []
        for series in answer["result"]:
            labels = {name: value for name, value in series["metric"].items() if name not in {"__name__", "alertstate"}}
            moments = [float(moment) for moment, _ in series["values"]]
            name, severity = labels.pop("alertname"), labels.get("severity", "")
            found.append(Firing(name, severity, tuple(labels.items()), moments[0], moments[-1]))
        return sorted(found, key=lambda firing: firing.since)

    def failures(self, deployment: str) -> list[str]:
        """The groups of this deployment's rules that have failed to be evaluated at least once, and how often."""
        page = requests.get(f"{self._url}/metrics", timeout=PATIENCE).text
        pattern = (
            rf'^prometheus_rule_evaluation_failures_total{{rule_group="[^"]*/{deployment}\.[^"/;]*;([^"]*)"}} (\d+)$'
        )
        return [f"{group}: {times}" for group, times in re.findall(pattern, page, re.MULTILINE) if times != "0"]

    def _is_ready(self) -> bool:
        assert self._keeper.exit_code(NAME) is None, self._keeper.last_lines(NAME)
        return answers(f"{self._url}/-/ready")

    def _configure(self) -> bool:
        """Write the configuration down; whether it is another than before."""
        configuration = {
            "global": {"scrape_interval": SCRAPED, "scrape_timeout": SCRAPED, "evaluation_interval": JUDGED},
            "rule_files": [f"{self._generated}/{deployment}.*.yaml" for deployment in sorted(self._judged)],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [self._alertmanager]}]}]},
            "scrape_configs": [{"job_name": "airflow-obs", "file_sd_configs": [{"files": ["targets/*.json"]}]}],
        }
        before, self._written = self._written, json.dumps(configuration)
        self._configuration.write_text(self._written)
        return before != self._written

    def _reload(self) -> None:
        # One for all that have come while another was under way.
        if self._configure():
            answer = requests.post(f"{self._url}/-/reload", timeout=PATIENCE)
            assert answer.ok, f"{answer.text}\n{self._keeper.last_lines(NAME)}"

    def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        answer = requests.get(f"{self._url}/api/v1/{what}", params=parameters, timeout=PATIENCE)
        assert answer.ok, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data
