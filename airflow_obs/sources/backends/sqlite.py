"""SQLite as the metadata database: a file that is opened anew each time, and knows no roles."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from airflow_obs.errors import SourceError, SourceUnreachable
from airflow_obs.sources.backends.backend import LOCK_TIMEOUT, Refusal
from airflow_obs.sources.discovery import Found
from airflow_obs.sources.schema import Moment, Shape


class Sqlite:
    """See Backend. Its budget is kept by a progress handler; there is no server that could be waited for."""

    kind = "sqlite"
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, found: Found) -> None:
        self.found = found
        self._path = str(found.url.database)
        quoted = quote(self._path)
        self.engine = sa.create_engine(
            found.url,
            hide_parameters=True,
            creator=lambda: sqlite3.connect(f"file:{quoted}?mode=ro", uri=True, timeout=LOCK_TIMEOUT),
            # Kept open, the file would be read on after another has taken its place.
            poolclass=sa.NullPool,
        )

    def deadline(self, _seconds: float, _stop: threading.Event | None, /) -> AbstractContextManager[None]:
        return nullcontext()

    def begin(self, connection: sa.Connection, budget: float) -> str:
        """The identity names the file: it changes when another takes its place, not when its contents are replaced."""
        until = time.monotonic() + budget
        handle: Any = connection.connection.driver_connection
        handle.set_progress_handler(lambda: time.monotonic() > until, 10_000)
        try:
            found = Path(self._path).stat()
        except OSError as error:
            raise SourceUnreachable(f"database: {self._path} went away as it was opened ({error.strerror})") from None
        return f"{found.st_dev}/{found.st_ino}"

    def has_table(self, connection: sa.Connection, table: str) -> bool:
        return bool(connection.execute(_TABLE, {"name": table}).scalar())

    def shape(self, connection: sa.Connection) -> Shape:
        """In two statements: SQLAlchemy's own reflection would ask several for each table and index."""
        columns: dict[str, dict[str, sa.types.TypeEngine[Any]]] = {}
        indexed: set[tuple[str, str]] = set()
        for table, column, declared, place_in_key in connection.execute(_COLUMNS):
            columns.setdefault(table, {})[column] = _TYPES.get(declared.upper(), sa.types.NullType)()
            if place_in_key == 1:
                indexed.add((table, column))
        indexed |= {(table, column) for table, column in connection.execute(_INDEXES)}
        return Shape(columns, frozenset(indexed))

    def not_airflows(self, _connection: sa.Connection, _needed: str, /) -> str | None:
        return None

    def place(self) -> str:
        return self._path

    def gave_up(self, _cause: Exception, /) -> str | None:
        return None

    def denied(self, _cause: Exception, /) -> bool:
        return False

    def locked(self, _cause: Exception, /) -> bool:
        return False

    def explain(self, refusal: Refusal) -> SourceError:
        text = refusal.text
        if isinstance(refusal.cause, sqlite3.OperationalError):
            if "unable to open" in text or "disk I/O" in text:
                return SourceUnreachable(
                    f"database: {text}: the file is missing or the exporter may not read it{refusal.place}"
                )
            if "locked" in text:
                return SourceError(
                    f"database: {text}: somebody is writing to it, or a process that died in mid-write left it so"
                )
            if "interrupted" in text:
                return SourceError(f"database: the query took more than its timeout of {refusal.budget:g}s")
        if "not a database" in text:
            return SourceUnreachable(f"database: {text}; check the path{refusal.place}")
        return SourceError(f"database: {text}")


_TABLE = sa.text("SELECT 1 FROM sqlite_master WHERE name = :name")
_TYPES = {"DATETIME": Moment, "TIMESTAMP": Moment, "BOOLEAN": sa.Boolean, "JSON": sa.JSON}
"""What SQLite keeps as a number or a text, and a collector gets as what it is."""
_COLUMNS = sa.text("""
    SELECT t.name, c.name, c.type, c.pk FROM sqlite_master t JOIN pragma_table_info(t.name) c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite!_%' ESCAPE '!'
""")
_INDEXES = sa.text("""
    SELECT t.name, c.name
    FROM sqlite_master t JOIN pragma_index_list(t.name) i JOIN pragma_index_info(i.name) c
    WHERE t.type = 'table' AND i.origin = 'c' AND NOT i.partial AND c.seqno = 0 AND c.name IS NOT NULL
""")
