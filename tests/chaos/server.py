"""A PostgreSQL that may be frozen, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil
import psycopg2

from airflow_obs.sources.backends.backend import APPLICATION_NAME
from tests.airflow_database import EXPORTER_ROLE
from tests.embedded_postgres import EmbeddedPostgres
from tests.eventually import eventually


@dataclass(frozen=True)
class Server:
    """The server and what can be done to it."""

    postgres: EmbeddedPostgres

    @property
    def _postmaster(self) -> psutil.Process:
        return psutil.Process(int((self.postgres.data / "postmaster.pid").read_text().split()[0]))

    @property
    def started_again(self) -> bool:
        """Whether another postmaster runs than the one that was started at first."""
        return self.runs and self._postmaster.pid != self.postgres.process_id

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within, the server and all its sessions stand still."""
        processes = [self._postmaster]
        processes[0].suspend()  # first, so that it starts no more
        processes += processes[0].children(recursive=True)
        try:
            for process in processes[1:]:
                process.suspend()
            yield
        finally:
            for process in processes:
                process.resume()

    def kill(self) -> None:
        """SIGKILL to all of it, as the kernel does when memory runs out."""
        processes = [self._postmaster, *self._postmaster.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(processes, timeout=30)

    def start(self) -> None:
        """Start it again as it was started before, and wait until it answers."""
        options = (self.postgres.data / "postmaster.opts").read_text().splitlines()[0].partition(" ")[2]
        self._control("start", "-o", options.replace('"', "'"), "-l", str(self.postgres.data / "log.again"))

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self.runs:
            self._control("stop", "-m", "fast")

    @property
    def answers(self) -> bool:
        """Whether it runs and is not frozen."""
        return self.runs and self._postmaster.status() != psutil.STATUS_STOPPED

    @property
    def runs(self) -> bool:
        """Whether it is there."""
        try:
            return self._postmaster.is_running()
        except (OSError, psutil.NoSuchProcess):
            return False

    def _control(self, *arguments: str) -> None:
        # PostgreSQL refuses to run as root; its folder says as whom it runs.
        owner = {"user": self.postgres.data.stat().st_uid, "group": self.postgres.data.stat().st_gid}
        subprocess.run(
            [str(self.postgres.binaries / "pg_ctl"), "-w", "-D", str(self.postgres.data), *arguments],
            cwd="/",
            stdout=subprocess.DEVNULL,
            check=True,
            **(owner if os.geteuid() == 0 else {}),  # type: ignore[call-overload]  # which of them, mypy cannot see
        )

    def sessions(self) -> int:
        """How many sessions of exporters there are."""
        counted = "SELECT count(*) FROM pg_stat_activity WHERE application_name = "
        return int(self.postgres.execute(f"{counted}'{APPLICATION_NAME}'")[0][0])

    def end_sessions(self) -> None:
        """End those sessions, as an administrator or a failover does."""
        chosen = f"FROM pg_stat_activity WHERE application_name = '{APPLICATION_NAME}'"
        self.postgres.execute(f"SELECT pg_terminate_backend(pid) {chosen}")

    def demand(self, method: str) -> None:
        """Let the exporter's role in by this method only (scram-sha-256, reject, trust)."""
        file = self.postgres.data / "pg_hba.conf"
        others = [line for line in file.read_text().splitlines() if EXPORTER_ROLE not in line]
        file.write_text("\n".join([f"local all {EXPORTER_ROLE} {method}", *others, ""]))
        self.postgres.execute("SELECT pg_reload_conf()")
        rules = f"SELECT auth_method FROM pg_hba_file_rules WHERE '{EXPORTER_ROLE}' = ANY (user_name)"
        eventually(lambda: self.postgres.execute(rules) == [(method,)], "the rule is in the file")

    @contextmanager
    def locked(self, database: str, *tables: str) -> Iterator[None]:
        """Within, somebody holds an ACCESS EXCLUSIVE lock on these tables."""
        connection = psycopg2.connect(host=str(self.postgres.socket_folder), user="postgres", dbname=database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
            yield
        finally:
            connection.close()
