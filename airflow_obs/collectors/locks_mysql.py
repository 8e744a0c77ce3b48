"""Who waits for whom in MySQL or MariaDB, as far as the server shows it."""

from __future__ import annotations

from collections import defaultdict

import sqlalchemy as sa

from airflow_obs.collectors.database_mysql import BEGAN, SESSIONS, STATE, WAITS
from airflow_obs.collectors.lock_queues import PREPARED, UNSEEN, Head, LockState, Waiting, heads_of
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment


def lock_queues(db: Session) -> LockState | None:
    """None without the privilege PROCESS, which shows other accounts' sessions.

    Who has a row that is waited for, MariaDB tells those with that privilege, and MySQL those who may read its performance_schema.
    So does MySQL tell who uses a table whose definition is waited for; MariaDB does not.
    """
    found = db.attempt(_WAITING)
    if found is None:
        return None
    blockers = defaultdict[int, list[int]](list)
    if found:
        for asked in _MARIADB_BLOCKERS if db.mariadb else _MYSQL_BLOCKERS:
            for waits, blocks in db.attempt(asked) or ():
                blockers[waits].append(blocks)
    waiting = {row.process: Waiting(row.since, tuple(blockers.get(row.process, (UNSEEN,)))) for row in found}
    return LockState(waiting, _heads(db, heads_of(waiting)))


def _heads(db: Session, processes: list[int]) -> list[Head]:
    if not processes:
        return []
    rows = db.rows(_HEADS.bindparams(processes=processes))
    known = {row.process: Head(row.state, row.began) for row in rows}
    return [known.get(process, Head("hidden", None)) for process in processes]


# The process list tells for how long the statement has run, which asks for the table's definition before all else.
_WAITING = sa.text(f"""
    SELECT p.id AS process,
           COALESCE(
               CONVERT_TZ(t.trx_wait_started, 'SYSTEM', '+00:00'), UTC_TIMESTAMP() - INTERVAL p.time SECOND
           ) AS since
    FROM {SESSIONS} WHERE p.db = DATABASE() AND {WAITS} ORDER BY since LIMIT 100
""").columns(since=Moment())  # noqa: S608 (constants; nothing from outside goes in)
_MARIADB_BLOCKERS = (
    sa.text("""
        SELECT w.trx_mysql_thread_id AS waits, b.trx_mysql_thread_id AS blocks
        FROM information_schema.innodb_lock_waits l
             JOIN information_schema.innodb_trx w ON w.trx_id = l.requesting_trx_id
             JOIN information_schema.innodb_trx b ON b.trx_id = l.blocking_trx_id
    """),
)
# As sys.schema_table_lock_waits has it, whoever uses the table is waited for: what waits there wants it for itself alone, or waits
# behind one that does.
_MYSQL_BLOCKERS = (
    sa.text("""
        SELECT DISTINCT w.trx_mysql_thread_id AS waits, b.trx_mysql_thread_id AS blocks
        FROM performance_schema.data_lock_waits l
             JOIN information_schema.innodb_trx w ON w.trx_id = l.requesting_engine_transaction_id
             JOIN information_schema.innodb_trx b ON b.trx_id = l.blocking_engine_transaction_id
    """),
    sa.text("""
        SELECT DISTINCT w.id AS waits, b.id AS blocks
        FROM performance_schema.metadata_locks asked
             JOIN performance_schema.metadata_locks held
                  ON held.object_schema = asked.object_schema AND held.object_name = asked.object_name
             JOIN information_schema.processlist w ON PS_THREAD_ID(w.id) = asked.owner_thread_id
             JOIN information_schema.processlist b ON PS_THREAD_ID(b.id) = held.owner_thread_id
        WHERE asked.object_type = 'TABLE' AND asked.lock_status = 'PENDING'
              AND held.object_type = 'TABLE' AND held.lock_status = 'GRANTED' AND w.id <> b.id
    """),
)
_HEADS = (
    sa.text(f"""
        SELECT p.id AS process, {STATE} AS state, {BEGAN} AS began FROM {SESSIONS} WHERE p.id IN :processes
        UNION ALL
        SELECT {PREPARED}, 'prepared', MIN({BEGAN}) FROM information_schema.innodb_trx t WHERE t.trx_mysql_thread_id = {PREPARED}
    """)  # noqa: S608 (constants; nothing from outside goes in)
    .bindparams(sa.bindparam("processes", expanding=True))
    .columns(began=Moment())
)
