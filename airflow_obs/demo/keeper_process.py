"""The process that owns what a demo starts: when the demo ends, however it ends, this ends it all and tidies up.

It runs by path with only the standard library (`python -I -S keeper_process.py PARENT_FOLDER`), reads one JSON request
a line from its standard input and answers each with one line. The end of the input is the end of the demo, be it a
return, a crash or SIGKILL: the kernel closes a dead process's pipes.

    (at start)                                          → {"folder": path}
    {"start": name, argv, log, env, cwd, user, stop}    → {"pid": n} or {"error": text}
    {"poll": name}                                      → {"code": exit code, or null while it runs}
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

PATIENCE = 10.0
"""Seconds that a child gets to end by itself after its signal. PostgreSQL takes 5 before it kills a backend that is
frozen, and only it knows its backends."""


class Child:
    """A process in a session of its own, so that no signal of the user's terminal reaches it."""

    def __init__(self, request: dict[str, Any]) -> None:
        user = request["user"]
        with Path(request["log"]).open("ab") as log:
            self._process = subprocess.Popen(
                request["argv"], env=request["env"], cwd=request["cwd"], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                user=user and user[0], group=user and user[1], extra_groups=[] if user else None,
            )  # fmt: skip
        self._stop = request["stop"]
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll()

    def end(self) -> None:
        """Ask it to stop, then make it: its own signal, then SIGKILL for its whole session's process group."""
        if self.poll() is None:
            # A stopped process acts on no signal before it is continued.
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(self._stop)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return


def _answer(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def _serve(children: dict[str, Child]) -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            _answer(code=children[request["poll"]].poll())
            continue
        try:
            child = Child(request)
        except OSError as error:
            _answer(error=str(error))
            continue
        children[request["start"]] = child
        _answer(pid=child.pid)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit


def main() -> None:
    """Serve until the input ends, then leave nothing behind."""
    children: dict[str, Child] = {}
    signal.signal(signal.SIGTERM, _end)
    folder = tempfile.mkdtemp(prefix="airflow-obs-demo-", dir=sys.argv[1])
    try:
        _answer(folder=folder)
        _serve(children)
    except BrokenPipeError:
        # The demo died between a request and its answer; nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for child in reversed(children.values()):
            child.end()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
