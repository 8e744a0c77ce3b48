"""A real Alertmanager that tells sinks, by receivers of every kind that it can send to, and what they are told."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from tests.alertmanager_server import AlertmanagerServer, Sink
from tests.eventually import eventually
from tests.mail_sink import Mail, MailSink

BEGAN = 1_750_000_000.0
"""2025-06-15 15:06:40 UTC."""
PAGE = {"alertname": "AirflowSchedulerDown", "airflow": "production", "severity": "critical", "team": "platform"}


def soon() -> float:
    """When alerts begin that are to come in one message: Alertmanager waits for more of a group unless it began long ago."""
    return time.time() + 30


def shown(text: str, many: int) -> tuple[int, int]:
    """How many of so many alerts a text shows at length, and by a line each. AssertionError unless it counts those left out."""
    found = re.search(r"\n\nand (\d+) more$", text)
    assert found
    full, lines = text.count("\nSince 20"), text.count("\n- ")
    assert full + lines + int(found[1]) == many
    return full, lines


@dataclass(frozen=True)
class Told:
    """A running Alertmanager that groups by deployment, and all that it sends to."""

    server: AlertmanagerServer
    web: Sink
    mails: MailSink

    def bodies(self, path: str, *, deployment: str, count: int = 1) -> list[Any]:
        """What came to a path about a deployment, once it is that much."""
        about = re.compile(rf"\b{deployment}\b")

        def found() -> list[Any]:
            bodies = [one.body for one in self.web.at(path) if about.search(json.dumps(one.body))]
            return bodies if len(bodies) >= count else []

        return eventually(found, f"{count} about {deployment} at {path}")

    def slack(self, deployment: str, count: int = 1) -> dict[str, Any]:
        """The attachment of the newest message in Slack about a deployment."""
        [attachment] = self.bodies("/slack", deployment=deployment, count=count)[-1]["attachments"]
        assert isinstance(attachment, dict)
        return attachment

    def mail(self, deployment: str) -> Mail:
        """The mail about a deployment."""

        def found() -> list[Mail]:
            return [mail for mail in self.mails.received if f" in {deployment} " in str(mail.message["Subject"])]

        return eventually(found, f"mail about {deployment}")[-1]


class Page(HTMLParser):
    """What a browser would show of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str | None] = []
        self.paragraphs: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name == "href"]
        if tag == "p":
            self.paragraphs.append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.paragraphs:
            self.paragraphs[-1] = (self.paragraphs[-1] + data).strip()
