"""An Alertmanager that all tests of messages share; each test tells it of deployments of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from airflow_obs.generate.alertmanager.receivers import raw
from airflow_obs.generate.yaml_text import text_of
from airflow_obs.policy import loads
from tests.alertmanager_server import Sink, alertmanager
from tests.generate.alertmanager.told import Told
from tests.mail_sink import MailSink


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("alertmanager")
    with ExitStack() as stack:
        web, mails = stack.enter_context(Sink()), stack.enter_context(MailSink())
        (folder / "slack").write_text(f"{web.url}/slack\n")
        (folder / "key").write_text("sesame")
        receiver = {
            "name": "everybody",
            "slack": {"api_url_file": f"{folder}/slack", "channel": "#airflow"},
            "pagerduty": {"routing_key_file": f"{folder}/key", "url": f"{web.url}/pagerduty"},
            "opsgenie": {"api_key_file": f"{folder}/key", "api_url": web.url, "responders": ["Data Platform"]},
            "email": {
                "to": ["a@example.com", "b@example.com"], "from": "alerts@example.com", "smarthost": mails.address,
                "require_tls": False,
            },
            "webhook": {"url": f"{web.url}/webhook", "max_alerts": 5},
        }  # fmt: skip
        [written] = loads(json.dumps({"receivers": [receiver]}), "site.yaml").receivers
        route = {"receiver": "everybody", "group_by": ["airflow"], "group_wait": "1s", "group_interval": "1s"}
        server = stack.enter_context(alertmanager(folder, text_of({"route": route, "receivers": [raw(written)]})))
        yield Told(server, web, mails)
        wrong = [line for line in server.log.splitlines() if "level=error" in line or "level=warn" in line]
        assert not wrong
