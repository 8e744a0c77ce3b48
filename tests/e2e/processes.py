"""Start programs in sessions of their own, each with a log file, and leave none of their descendants behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests

POLLS = 180
PAUSE = 1.0


class NotReady(Exception):
    """Something did not come about within the polls granted; the text says what, and how the log ends."""


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of 127.0.0.1 that nobody listens on now, for TCP or (SOCK_DGRAM) for UDP."""
    with socket.socket(type=kind) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether an HTTP server says OK there."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def poll(happened: Callable[[], bool]) -> bool:
    """Ask until the answer is yes, POLLS times at most."""
    for _ in range(POLLS):
        if happened():
            return True
        time.sleep(PAUSE)
    return False


@dataclass
class Program:
    """A running program: its process leads a session of its own."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    def wait_until(self, what: str, happened: Callable[[], bool]) -> None:
        """Poll until it happened; raises NotReady when it does not, or when the program has ended."""

        def happened_or_ended() -> bool:
            return happened() or self.process.poll() is not None

        if not poll(happened_or_ended) or not happened():
            ended = self.process.poll()
            state = "still runs" if ended is None else f"ended with {ended}"
            raise NotReady(f"{self.name}: not {what} after {POLLS} polls, it {state}; {self.log} ends:\n{self.tail()}")

    def kill(self) -> None:
        """SIGKILL to the leading process alone, as the kernel does when memory runs out."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM to the whole session; SIGKILL to what stays."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(15)
                return


@dataclass
class Programs:
    """The programs of one stack, with their logs in `folder`."""

    folder: Path
    started: list[Program] = field(default_factory=list)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Program:
        """Start a program in `folder`; it gets this environment and no other."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        program = Program(name, process, log)
        self.started.append(program)
        return program

    def survivors(self) -> list[psutil.Process]:
        """Every process that is still there in a session of ours, and what descends from it.

        By session, since orphans have no parent to be found by, and Airflow overwrites its environment with a title.
        """
        sessions = {program.process.pid for program in self.started}
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                if os.getsid(process.pid) in sessions:
                    for one in (process, *process.children(recursive=True)):
                        if one.status() != psutil.STATUS_ZOMBIE:
                            found[one.pid] = one
        return list(found.values())

    def end(self) -> None:
        """SIGTERM to all of them, then SIGKILL until none is left."""
        for stop in (psutil.Process.terminate, *[psutil.Process.kill] * 5):
            left = self.survivors()
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    stop(process)
            psutil.wait_procs(left, timeout=3)
        for program in self.started:
            program.process.wait()
