"""MySQL and MariaDB as the metadata database, through PyMySQL."""

from __future__ import annotations

import logging
import math
import threading
from contextlib import AbstractContextManager
from typing import Any

import pymysql
import sqlalchemy as sa
from pymysql.connections import Connection
from pymysql.constants import CR
from sqlalchemy.exc import DBAPIError

from airflow_obs.errors import SourceError
from airflow_obs.sources.backends import mysql_errors
from airflow_obs.sources.backends.backend import APPLICATION_NAME, LOCK_TIMEOUT, Refusal, cause_of
from airflow_obs.sources.backends.innodb import file_name
from airflow_obs.sources.backends.watchdog import Watchdog
from airflow_obs.sources.discovery import Found
from airflow_obs.sources.schema import Moment, Shape

log = logging.getLogger(__name__)


class Mysql:
    """See Backend. Its limits are the session's, set anew before every transaction.

    A database is named by its name alone: a replica that takes over, or another node of a cluster, has another server's
    identity and the same rows, and whoever counts must not begin anew there. That it is another one, the rows tell
    (collectors/landmarks.py).
    """

    kind = "mysql"
    errors: tuple[type[Exception], ...] = (pymysql.Error,)

    def __init__(self, found: Found) -> None:
        self.found = found
        self._watchdog = Watchdog()
        self._said_blind = False
        self._last_catalogue: dict[str, list[tuple[str, str]]] = {}
        self.engine = sa.create_engine(
            found.url,
            hide_parameters=True,
            creator=self._connect,
            poolclass=sa.QueuePool,
            pool_size=1,
            max_overflow=0,
            pool_timeout=1,
            pool_pre_ping=True,
        )
        sa.event.listen(self.engine, "close", self._closed)
        # A connection that failed in its first statements, nobody closes.
        sa.event.listen(self.engine, "engine_disposed", lambda _engine: self._watchdog.hang_up())

    def _connect(self) -> Connection[Any]:
        _, arguments = self.engine.dialect.create_connect_args(self.found.url)
        named = {**arguments, "program_name": APPLICATION_NAME, **self.found.connect_args}
        connection: Connection[Any] = Connection(**named, defer_connect=True)
        path = arguments.get("unix_socket")
        try:
            line = self._watchdog.dial(connection.host, connection.port, str(path) if path else None)
        except OSError as error:
            raise pymysql.OperationalError(CR.CR_CONN_HOST_ERROR, error.strerror or str(error)) from None
        try:
            connection.connect(line)
        except BaseException:
            self._watchdog.hang_up()
            raise
        return connection

    def _closed(self, _connection: object, _record: object) -> None:
        self._watchdog.hang_up()

    def deadline(self, seconds: float, stop: threading.Event | None) -> AbstractContextManager[None]:
        return self._watchdog.watching(seconds, stop)

    def begin(self, connection: sa.Connection, budget: float) -> str:
        """READ COMMITTED, as PostgreSQL's transactions are: each statement sees what is there when it begins."""
        limits = {"lock_wait_timeout": math.ceil(LOCK_TIMEOUT), "time_zone": "'+00:00'"}
        if getattr(connection.dialect, "is_mariadb", False):
            limits["max_statement_time"] = max(0.001, budget)
        else:
            # Without, MySQL 8 says for a day how large the tables were.
            limits |= {"max_execution_time": max(1, int(budget * 1000)), "information_schema_stats_expiry": 0}
        connection.exec_driver_sql("SET " + ", ".join(f"SESSION {name} = {value}" for name, value in limits.items()))
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY")
        return str(connection.exec_driver_sql("SELECT DATABASE()").scalar())

    def has_table(self, connection: sa.Connection, table: str) -> bool:
        return bool(connection.execute(_TABLE, {"name": table}).scalar())

    def shape(self, connection: sa.Connection) -> Shape:
        """What we may not read, information_schema hides: InnoDB's own catalogue has it, for those with the privilege PROCESS."""
        columns: dict[str, dict[str, sa.types.TypeEngine[Any]]] = {}
        for table, column, data_type, declared, length in connection.execute(_COLUMNS):
            columns.setdefault(table, {})[column] = _type(data_type, declared, length)
        withheld = set()
        for table, column in self._catalogued(connection, "columns"):
            if column not in columns.get(table, {}):
                columns.setdefault(table, {})[column] = sa.types.NullType()
                withheld.add((table, column))
        indexed = {(table, column) for table, column in connection.execute(_INDEXES)}
        if withheld:
            indexed |= withheld.intersection(self._catalogued(connection, "indexed"))
        return Shape(columns, frozenset(indexed), frozenset(withheld))

    def _catalogued(self, connection: sa.Connection, what: str) -> list[tuple[str, str]]:
        """Every (table, column) of Airflow's database, or those that are the first of an index, whoever may read them.

        While MySQL makes us wait behind a lock, those it had before.
        """
        mariadb = getattr(connection.dialect, "is_mariadb", False)
        named = connection.exec_driver_sql("SELECT DATABASE()").scalar()
        asked = sa.text(_CATALOGUE[what].format(prefix="INNODB_SYS_" if mariadb else "INNODB_"))
        try:
            found = connection.execute(asked, {"folder": f"{file_name(str(named))}/%"})
            self._last_catalogue[what] = [(table, column) for table, column in found]
        except DBAPIError as error:
            cause = cause_of(error)
            # MySQL reads it table by table, those of all databases, and waits for each that is being altered.
            if self.denied(cause):
                self._say_blind()
            elif not self.locked(cause):
                raise
        return self._last_catalogue.get(what, [])

    def _say_blind(self) -> None:
        if not self._said_blind:
            log.warning(
                "database: our role lacks the privilege PROCESS: other sessions and InnoDB's transactions are not seen, and "
                "what else it may not read is taken for absent; `GRANT PROCESS ON *.* TO` the exporter's role"
            )
            self._said_blind = True

    def not_airflows(self, _connection: sa.Connection, _needed: str, /) -> str | None:
        return None

    def place(self) -> str:
        url, path = self.found.url, self.found.url.query.get("unix_socket")
        return str(path) if path else f"{url.host or 'localhost'}:{url.port or 3306}"

    def gave_up(self, cause: Exception) -> str | None:
        return self._watchdog.bit if mysql_errors.line_lost(cause) else None

    def denied(self, cause: Exception) -> bool:
        return mysql_errors.denied(cause)

    def locked(self, cause: Exception) -> bool:
        return mysql_errors.locked(cause)

    def explain(self, refusal: Refusal) -> SourceError:
        return mysql_errors.explain(refusal)


def _type(data_type: str, declared: str, length: int | None) -> sa.types.TypeEngine[Any]:
    """What a collector gets as what it is; the length tells how a UUID is written."""
    if data_type in {"timestamp", "datetime"}:
        return Moment()
    if declared == "tinyint(1)":
        return sa.Boolean()
    if data_type in {"char", "varchar"}:
        return sa.String(length)
    return sa.JSON() if data_type == "json" else sa.types.NullType()


_TABLE = sa.text("SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = :name")
# Named anew, since MySQL 8 gives the names of these columns in capitals.
_COLUMNS = sa.text("""
    SELECT c.table_name AS a, c.column_name AS b, c.data_type AS c, c.column_type AS d, c.character_maximum_length AS e
    FROM information_schema.columns c
         JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
    WHERE c.table_schema = DATABASE() AND t.table_type = 'BASE TABLE'
""")
_INDEXES = sa.text("""
    SELECT table_name AS a, column_name AS b FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND seq_in_index = 1 AND sub_part IS NULL AND column_name IS NOT NULL
""")
_CATALOGUE = {
    "columns": """
        SELECT SUBSTRING_INDEX(t.name, '/', -1) AS a, c.name AS b
        FROM information_schema.{prefix}TABLES t JOIN information_schema.{prefix}COLUMNS c ON c.table_id = t.table_id
        WHERE t.name LIKE :folder ESCAPE '!'
    """,
    "indexed": """
        SELECT SUBSTRING_INDEX(t.name, '/', -1) AS a, f.name AS b
        FROM information_schema.{prefix}TABLES t
             JOIN information_schema.{prefix}INDEXES i ON i.table_id = t.table_id
             JOIN information_schema.{prefix}FIELDS f ON f.index_id = i.index_id
        WHERE t.name LIKE :folder ESCAPE '!' AND f.pos = 0
    """,
}
