"""What MySQL or MariaDB says of itself as the metadata database's server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from airflow_obs.collectors.database_figures import Activity, Counters, Figures, Limit
from airflow_obs.collectors.tables_mysql import estimates
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment

STATE = """CASE WHEN p.command = 'Connect' THEN 'starting' WHEN p.command <> 'Sleep' THEN 'active'
    WHEN t.trx_id IS NULL THEN 'idle' ELSE 'idle in transaction' END"""
"""The state of a session `p` of the process list with the transaction `t`, in PostgreSQL's words."""
WAITS = "(t.trx_state = 'LOCK WAIT' OR p.state LIKE 'Waiting for % lock' OR p.state = 'Waiting for table flush')"
"""Whether it waits for a row, or for a table's definition; for GET_LOCK(), as a second migration does, one waits on purpose."""
BEGAN = "CONVERT_TZ(t.trx_started, 'SYSTEM', '+00:00')"
"""When its transaction began: InnoDB tells the time of the server's host, whatever the session's time zone is."""
SESSIONS = "information_schema.processlist p LEFT JOIN information_schema.innodb_trx t ON t.trx_mysql_thread_id = p.id"

_FOR_ADMINISTRATORS = 1
"""One more than max_connections is let in, with the privilege CONNECTION ADMIN (MySQL: CONNECTION_ADMIN) or SUPER."""
_MILLISECONDS = 1000


def figures(db: Session) -> Figures:
    """Other accounts' sessions, transactions and InnoDB's counters are shown to those with the privilege PROCESS.

    Without it the other sessions are counted as `hidden`, and the size is that of the tables that we may read.
    """
    status = {name: int(value) for name, value in db.rows(_STATUS)}
    version, now, most, most_of_user = db.one(_SETTINGS)
    counted = {row.name: row.counted for row in db.attempt(_INNODB) or ()}
    waited = counted.get("lock_row_lock_time")
    return Figures(
        size=int(sum(table.size or 0 for table in estimates(db).values())),
        version=version,
        activity=_activity(db, status["Threads_connected"], most, most_of_user),
        counters=Counters(
            since=now - timedelta(seconds=status["Uptime"]),
            deadlocks=counted.get("lock_deadlocks"),
            row_lock_waits=counted.get("lock_row_lock_waits"),
            row_lock_wait_seconds=None if waited is None else waited / _MILLISECONDS,
        ),
    )


def _activity(db: Session, connected: int, most: int, most_of_user: int) -> Activity:
    seen = db.attempt(_SESSIONS)
    sessions = db.rows(_OWN_SESSIONS) if seen is None else seen
    connections = Counter[str]()
    for row in sessions:
        connections[row.state] += row.connections
    if seen is None:
        connections["hidden"] = max(0, connected - connections.total())
    return Activity(
        connections=+connections,
        # Of our own sessions alone, ours would be taken for Airflow's account.
        limits=tuple(_limits(sessions, connections.total(), most, 0 if seen is None else most_of_user)),
        oldest_transactions=dict(_oldest(sessions)),
        blocked=None if seen is None else sum(int(row.blocked) for row in sessions),
        connections_reserved=_FOR_ADMINISTRATORS,
    )


def _limits(sessions: Sequence[Any], used: int, most: int, most_of_user: int) -> Iterator[Limit]:
    """That of each account is the server's default for them: an account's own is no secret of its own alone.

    Airflow's is the one with the most sessions in this database.
    """
    yield Limit("server", most, used)
    if not most_of_user:
        return
    of_users, here = Counter[str](), Counter[str]()
    for row in sessions:
        of_users[row.user] += row.connections
        here[row.user] += row.here * row.connections
    if here:
        [(user, _)] = here.most_common(1)
        yield Limit("role", most_of_user, of_users[user])


def _oldest(sessions: Iterable[Any]) -> Iterator[tuple[str, datetime]]:
    """The oldest last, so that it is the one of its state."""
    open_here = [row for row in sessions if row.here and row.began is not None]
    yield from ((row.state, row.began) for row in sorted(open_here, key=lambda row: row.began, reverse=True))


_SETTINGS = sa.text("""
    SELECT VERSION() AS version, UTC_TIMESTAMP() AS now, @@GLOBAL.max_connections AS most,
           @@GLOBAL.max_user_connections AS most_of_user
""").columns(version=sa.Text(), now=Moment(), most=sa.Integer(), most_of_user=sa.Integer())
_STATUS = sa.text("SHOW GLOBAL STATUS WHERE variable_name IN ('Threads_connected', 'Uptime')")
_INNODB = sa.text("""
    SELECT name AS name, count AS counted FROM information_schema.innodb_metrics
    WHERE name IN ('lock_deadlocks', 'lock_row_lock_waits', 'lock_row_lock_time')
""")
_CLIENTS = "p.command <> 'Daemon' AND p.user NOT IN ('system user', 'event_scheduler')"
# A prepared transaction has no session, and does not say of which database it is.
_SESSIONS = sa.text(f"""
    SELECT p.user AS user, COALESCE(p.db = DATABASE(), 0) AS here, {STATE} AS state, COUNT(*) AS connections,
           SUM(COALESCE(p.db = DATABASE() AND {WAITS}, 0)) AS blocked,
           MIN(CASE WHEN p.id <> CONNECTION_ID() THEN {BEGAN} END) AS began
    FROM {SESSIONS} WHERE {_CLIENTS} GROUP BY 1, 2, 3
    UNION ALL
    SELECT '', 1, 'prepared', 0, 0, MIN({BEGAN}) FROM information_schema.innodb_trx t WHERE t.trx_mysql_thread_id = 0
""").columns(began=Moment())  # noqa: S608 (constants of this file; nothing from outside goes in)
_OWN_SESSIONS = sa.text(f"""
    SELECT p.user AS user, COALESCE(p.db = DATABASE(), 0) AS here, {STATE} AS state, COUNT(*) AS connections, NULL AS began
    FROM information_schema.processlist p CROSS JOIN (SELECT NULL AS trx_id) t WHERE {_CLIENTS} GROUP BY 1, 2, 3
""")  # noqa: S608 (constants of this file; nothing from outside goes in)
