"""A MariaDB with room for a large history, and what it says that each statement took."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from airflow_obs.sources.backends.backend import APPLICATION_NAME
from bench.postgres import Statement
from tests.airflow_database import EXPORTER_ROLE
from tests.mariadb_server import MariaDBServer, mariadb_server

_SLOW_LOG = "slow.log"
_SETTINGS = (
    # Every statement is a slow one.
    "--slow-query-log=1", f"--slow-query-log-file={_SLOW_LOG}", "--log-output=FILE", "--long-query-time=0", "--log-slow-filter=",
    # Nothing here outlives the process, so nothing has to reach the disk before it must.
    "--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=2G", "--innodb-stats-auto-recalc=0",
)  # fmt: skip
_ENTRY = re.compile(
    r"^# User@Host: (?P<user>[^\[\n]*).*\n"
    r"(?:# (?!Query_time).*\n)*"
    r"# Query_time: (?P<seconds>[0-9.]+) .*Rows_examined: (?P<rows>\d+)\n"
    r"(?:# .*\n|use .*;\n)*"
    r"SET timestamp=\d+;\n"
    r"(?P<sql>(?:(?!# (?:User@Host|Time): ).*\n)*)",
    re.MULTILINE,
)
_QUIET = 0.02
"""Seconds after which nothing more is written of what was answered: the client has its answer before the log has the statement."""


@dataclass(frozen=True)
class SlowLog:
    """The server's log of every statement, from parsing to the last row, with the rows that it read for it."""

    file: Path

    def end(self) -> int:
        """How far it is written: what `since` takes."""
        size = -1
        while size != (now := self.file.stat().st_size):
            size = now
            time.sleep(_QUIET)
        return size

    def since(self, start: int, application: str) -> list[Statement]:
        """What the exporter, or else root, has asked since: the log knows sessions by their user."""
        end = self.end()
        with self.file.open("rb") as log:
            log.seek(start)
            text = log.read(end - start).decode()
        user = EXPORTER_ROLE if application == APPLICATION_NAME else "root"
        return [
            Statement(found["sql"].strip().removesuffix(";"), float(found["seconds"]) * 1000, int(found["rows"]))
            for found in _ENTRY.finditer(text)
            if found["user"] == user
        ]


@contextmanager
def mariadb(buffer_pool: str) -> Iterator[tuple[MariaDBServer, SlowLog]]:
    """A server and its log; stopped and removed at the end. Its files go where TMPDIR says."""
    with mariadb_server(options=(*_SETTINGS, f"--innodb-buffer-pool-size={buffer_pool}")) as server:
        yield server, SlowLog(server.folder / "data" / _SLOW_LOG)
