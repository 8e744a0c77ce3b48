"""Starts the demo's processes through the keeper, which ends them with the demo, however that ends."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from airflow_obs.demo import keeper_process
from airflow_obs.errors import AirflowObsError

SOCKET_PATH_MAX = 103
"""Characters that macOS allows in a socket's path; Linux allows 107."""


def open_to_all(path: Path) -> bool:
    """True when every user may pass through all folders on the way to `path` and, if it is a program, run it."""
    real = path.resolve()
    return all(step.stat().st_mode & stat.S_IXOTH for step in (real, *real.parents))


def _parent_folder() -> str:
    own = tempfile.gettempdir()
    short = len(own) + len("/airflow-obs-demo-xxxxxxxx/pg/.s.PGSQL.5432") <= SOCKET_PATH_MAX
    # Root's PostgreSQL runs as another user, whom a private TMPDIR would keep out.
    return own if short and (os.geteuid() != 0 or open_to_all(Path(own))) else "/tmp"  # noqa: S108 (mkdtemp makes a private one in it)


def our_environment() -> dict[str, str]:
    """A copy of this process's, which another thread may change meanwhile (os.environ.copy would trip over that)."""
    return {name: value for name in list(os.environ) if (value := os.environ.get(name)) is not None}


class Keeper:
    """A folder and the processes in it. All is gone when `close` returns, and soon after this process has died."""

    def __init__(self) -> None:
        # -I -S: whatever is in the current folder or in the user's site, this process starts, and starts at once.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", keeper_process.__file__, _parent_folder()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            self.folder = Path(self._read()["folder"])
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The keeper's own process id."""
        return self._process.pid

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: tuple[int, int] | None = None,
        stop: signal.Signals = signal.SIGTERM,
    ) -> int:
        """Start a process as `user` (uid, gid; None: as we are) and give its id; `stop` is what ends it in good order.

        Raises AirflowObsError when it cannot be started.
        """
        answer = self._ask(
            start=name, argv=list(argv), log=str(self._log(name)), env=our_environment() if env is None else dict(env),
            cwd=cwd and str(cwd), user=user, stop=int(stop),
        )  # fmt: skip
        if "error" in answer:
            raise AirflowObsError(f"demo: cannot start {name}: {answer['error']}")
        return int(answer["pid"])

    def exit_code(self, name: str) -> int | None:
        """The exit code of a process, None while it runs."""
        code = self._ask(poll=name)["code"]
        return None if code is None else int(code)

    def run(
        self, name: str, argv: Sequence[str], *, cwd: Path | None = None, user: tuple[int, int] | None = None
    ) -> None:
        """Start a process and wait for its end. Raises AirflowObsError with its last lines when it failed."""
        self.start(name, argv, cwd=cwd, user=user)
        while (code := self.exit_code(name)) is None:
            time.sleep(0.02)
        if code:
            raise AirflowObsError(f"demo: {name} failed with exit code {code}:\n{self.last_lines(name)}")

    def last_lines(self, name: str, count: int = 10) -> str:
        """The last lines that a process wrote."""
        with suppress(FileNotFoundError):
            return "\n".join(self._log(name).read_text(errors="replace").splitlines()[-count:])
        return ""

    def close(self) -> None:
        """End every process and remove the folder; may be called again."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError, ValueError):
                if pipe is not None:
                    pipe.close()
        self._process.wait()

    def __enter__(self) -> Keeper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _ask(self, **request: object) -> dict[str, Any]:
        assert self._process.stdin is not None  # noqa: S101 (a PIPE, which the type of Popen does not tell)
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._died() from error
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 (a PIPE, which the type of Popen does not tell)
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _died(self) -> AirflowObsError:
        return AirflowObsError(
            "demo: the process that keeps the demo's PostgreSQL, Redis and exporter has died; start again"
        )
