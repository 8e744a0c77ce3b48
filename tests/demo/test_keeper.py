"""The keeper: what it started ends with its owner, however that ends."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from airflow_obs.demo.keeper import Keeper
from airflow_obs.errors import AirflowObsError

STUBBORN = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"]

OWNER = """
import time
from airflow_obs.demo.keeper import Keeper
keeper = Keeper()
first = keeper.start("first", ["sleep", "600"])
print(keeper.folder, keeper.pid, first, flush=True)
time.sleep(600)
"""


def gone(pid: int, patience: float = 60) -> bool:
    """Wait until the process has ended; False when it has not in `patience` seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_close_ends_every_process_and_removes_the_folder() -> None:
    with Keeper() as keeper:
        folder = keeper.folder
        willing = keeper.start("willing", ["sleep", "600"])
        frozen = keeper.start("frozen", ["sleep", "600"])
        psutil.Process(frozen).send_signal(signal.SIGSTOP)
        (folder / "some file").write_text("x")
    assert gone(willing, 0.1)
    assert gone(frozen, 0.1)
    assert not folder.exists()
    keeper.close()


def test_a_process_that_ignores_its_signal_is_killed() -> None:
    with Keeper() as keeper:
        stubborn = keeper.start("stubborn", STUBBORN)
    assert gone(stubborn, 0.1)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_all_ends_with_an_owner_that_is_killed(how: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder, keeper, first = shlex.split(owner.stdout.readline())
        assert Path(folder).is_dir()
        owner.send_signal(how)
    assert gone(int(keeper))
    assert gone(int(first))
    assert not Path(folder).exists()


def test_a_failing_step_is_told_with_its_last_lines() -> None:
    with Keeper() as keeper, pytest.raises(AirflowObsError, match=r"(?s)^demo: step failed with exit code 3:.*why"):
        keeper.run("step", ["sh", "-c", "echo why >&2; exit 3"])


def test_a_missing_program_is_told() -> None:
    with Keeper() as keeper, pytest.raises(AirflowObsError, match=r"^demo: cannot start step: .*no-such-program"):
        keeper.start("step", ["no-such-program"])


def test_a_keeper_that_died_is_told() -> None:
    with Keeper() as keeper:
        process = psutil.Process(keeper.pid)
        process.terminate()
        # Not gone(): the keeper is our own child, and only close() takes its last state.
        while process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        with pytest.raises(AirflowObsError, match=r"^demo: the process that keeps .* has died; start again$"):
            keeper.start("step", ["true"])
