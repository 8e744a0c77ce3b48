"""A mail server that keeps what it is sent, for the tests."""

from __future__ import annotations

import email
import socketserver
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from io import BufferedIOBase
from typing import Self

from tests.alertmanager_server import end, serve
from tests.eventually import eventually


@dataclass(frozen=True)
class Mail:
    """One mail: its envelope, and the message."""

    sender: str
    to: tuple[str, ...]
    message: EmailMessage

    def text(self, subtype: str = "plain") -> str:
        """Its body as text/plain or text/html, its lines ended as Python ends them."""
        [part] = [part for part in self.message.walk() if part.get_content_type() == f"text/{subtype}"]
        content: str = part.get_content()
        return content.replace("\r\n", "\n")


@dataclass
class MailSink:
    """A mail server that takes every mail, without TLS and passwords, and keeps it. For a `with`."""

    received: list[Mail] = field(default_factory=list)

    def __enter__(self) -> Self:
        sink = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                _take_mails(self.rfile, self.wfile, sink.received)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        serve(self._server)
        return self

    def __exit__(self, *_: object) -> None:
        end(self._server)

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def until(self, count: int = 1) -> list[Mail]:
        """The mails, once they are at least that many."""
        return eventually(lambda: self.received if len(self.received) >= count else [], f"{count} mails come")


def _take_mails(lines: BufferedIOBase, answers: BufferedIOBase, received: list[Mail]) -> None:
    """One SMTP session, as far as a client needs one that has nothing to hide: RFC 5321."""
    sender, to = "", list[str]()
    answers.write(b"220 sink\r\n")
    while line := lines.readline().decode().strip():
        verb, _, rest = line.partition(" ")
        match verb.upper():
            case "MAIL":
                sender, to = _address(rest), []
            case "RCPT":
                to.append(_address(rest))
            case "DATA":
                answers.write(b"354 go on\r\n")
                # A line that begins with a dot has one more than its author wrote.
                text = b"".join(one.removeprefix(b".") for one in iter(lines.readline, b".\r\n"))
                message = email.message_from_bytes(text, policy=policy.default)
                received.append(Mail(sender, tuple(to), message))
            case "QUIT":
                answers.write(b"221 bye\r\n")
                return
        answers.write(b"250 ok\r\n")


def _address(text: str) -> str:
    return text.partition("<")[2].partition(">")[0]
