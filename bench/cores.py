"""Keeps who sends and who receives on a processor each, so that a figure is that of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_OURS = sorted(os.sched_getaffinity(0))
RECEIVER, SENDER = _OURS[0], _OURS[-1]
"""The processors of the two; on a machine that has only one they share it."""


def pin(process_id: int, core: int) -> None:
    """Keep a process that runs, with all its threads and those that they will start, on one processor."""
    for task in Path(f"/proc/{process_id}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def start_sender(module: str, load: dict[str, Any]) -> subprocess.Popen[str]:
    """Start a module of this package on the sender's processor; the load is JSON on its stdin."""
    process = subprocess.Popen(
        [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    pin(process.pid, SENDER)
    assert process.stdin is not None  # noqa: S101 (for the type checker: it is a pipe)
    process.stdin.write(json.dumps(load))
    process.stdin.close()
    process.stdin = None
    return process


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What it printed, as JSON, when it has ended; raises RuntimeError with its errors if it failed."""
    printed, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"bench: a sender failed:\n{errors}")
    found: dict[str, Any] = json.loads(printed)
    return found
