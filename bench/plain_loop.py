"""The floor of what receiving StatsD takes: a loop that splits lines and adds up values by name, and does nothing else."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import IO

from airflow_obs.exporter.ingest.statsd.sockets import BUFFER_BYTES

_QUESTION = b"?"
"""What a datagram begins with that asks for the lines that came so far; no line does."""
_ANSWERS_WITHIN = 1.0


class PlainLoop:
    """The loop as a process of its own."""

    def __init__(self, process_id: int, port: int, answers: IO[bytes]) -> None:
        self.process_id = process_id
        self.port = port
        self._answers = answers
        self._questions = count()

    def lines(self) -> int:
        """How many lines it has counted of those sent before; a question is lost where lines are, so that it is put again."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.connect(("127.0.0.1", self.port))
            while True:
                question = b"?%d" % next(self._questions)
                asking.send(question)
                while select.select([self._answers], [], [], _ANSWERS_WITHIN)[0]:
                    to, lines = self._answers.readline().split()
                    if to == question:
                        return int(lines)


@contextmanager
def plain_loop() -> Iterator[PlainLoop]:
    """Start one; stop it at the end."""
    process = subprocess.Popen([sys.executable, "-m", "bench.plain_loop"], stdout=subprocess.PIPE, bufsize=0)
    try:
        assert process.stdout is not None  # noqa: S101 (for the type checker: it is a pipe)
        port = process.stdout.readline()
        if not port:
            raise RuntimeError("bench: the plain loop did not start: its errors stand above")
        yield PlainLoop(process.pid, int(port), process.stdout)
    finally:
        process.terminate()
        process.communicate()


def main() -> None:
    """Print the port, and count until somebody ends it."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    listening.bind(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    series: dict[bytes, list[float]] = {}
    lines = 0
    while True:
        packet = listening.recv(65_535)
        if packet.startswith(_QUESTION):
            print(packet.decode(), lines, flush=True)
            continue
        for line in packet.split(b"\n"):
            name, _, rest = line.partition(b":")
            value, _, _ = rest.partition(b"|")
            if (found := series.get(name)) is None:
                found = series[name] = [0.0]
            found[0] += float(value)
            lines += 1


if __name__ == "__main__":
    main()
