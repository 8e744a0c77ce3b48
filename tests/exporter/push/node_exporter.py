"""A real node_exporter that reads the files of a folder."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests

from tests.eventually import DEADLINE, eventually
from tests.exporter.pages import Page
from tests.tools import tool


@contextmanager
def node_exporter(folder: Path, scratch: Path) -> Iterator[Callable[[], Page]]:
    """One that has no collector but textfile; asked for, its page is of that moment."""
    program = tool("prometheus-node-exporter")
    with (scratch / "node-exporter.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                "--web.listen-address=127.0.0.1:0",
                "--collector.disable-defaults",
                "--collector.textfile",
                f"--collector.textfile.directory={folder}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        port = eventually(lambda: _port(process.pid), "node_exporter listens")
        yield lambda: Page(requests.get(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE).text)
    finally:
        process.kill()
        process.wait()


def _port(pid: int) -> int | None:
    listening = [one for one in psutil.Process(pid).net_connections() if one.status == psutil.CONN_LISTEN]
    return listening[0].laddr.port if listening else None
