"""Takes the README's picture of the status page anew: `make screenshot`."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.airflow_schemas import ROOT
from tests.chromium import Tab, browse
from tests.eventually import eventually
from tests.exporter_process import COMMAND, environment

PICTURE = ROOT / "exporters" / "status-page.png"
FAULT = "queue-without-worker"
SHOWN = "AirflowQueueWithoutWorker"
"""What the page says once the demo has that fault."""
WIDTH, HEIGHT = 1200, 900
PATIENCE = 120.0


@contextmanager
def sick_demo() -> Iterator[str]:
    """Where the status page of a demo with the fault is, once it shows it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    # Not pytest's own: as root PostgreSQL is another user, who may not enter that.
    with tempfile.TemporaryDirectory(prefix="airflow-obs-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        with (folder / "log").open("wb") as log:
            demo = subprocess.Popen(
                [*COMMAND, "demo", "--fault", FAULT, "--web.listen-address", address],
                env=environment(folder, TMPDIR=made), stdout=log, stderr=log,
            )  # fmt: skip

        def shows_it() -> bool:
            assert demo.poll() is None, (folder / "log").read_text()
            return SHOWN in _page(f"http://{address}/").partition("<main>")[0]

        try:
            eventually(shows_it, "the page shows the fault", PATIENCE)
            yield f"http://{address}/"
        finally:
            demo.terminate()
            demo.wait(PATIENCE)


def _page(url: str) -> str:
    try:
        return requests.get(url, timeout=PATIENCE).text
    except requests.RequestException:
        return ""


async def _picture(tab: Tab, url: str) -> bytes:
    await tab.see(WIDTH, height=HEIGHT)
    await tab.open(url)
    return await tab.picture(whole=False)


def main() -> None:
    """Write the picture."""
    with sick_demo() as url, tempfile.TemporaryDirectory(prefix="airflow-obs-") as folder:
        PICTURE.write_bytes(browse(Path(folder), lambda tab: _picture(tab, url)))
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
