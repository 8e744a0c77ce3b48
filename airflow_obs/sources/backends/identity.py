"""Which PostgreSQL database it is that answers, so that another one behind the same URL is not taken for the one before."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import InternalError, NotSupportedError, ProgrammingError

_NAMED = (
    "SELECT pg_catalog.concat_ws('/', oid, pg_catalog.to_regclass('alembic_version')::oid) "
    "FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()"
)
_NAMED_WITH_SYSTEM = _NAMED.replace("oid,", "(SELECT system_identifier FROM pg_catalog.pg_control_system()), oid,", 1)


def question(connection: sa.Connection) -> str:
    """The SQL that has a PostgreSQL name the database: a row of one text. Asked in every transaction it costs no round trip more.

    The text names the server's cluster (its system identifier, which everybody may read unless an administrator forbade it, or
    the server hides it: then it is left out), the database and Airflow's table alembic_version by their numbers. So it changes
    when the URL leads to another server, even through a pooler that keeps our connection, when a database takes another one's
    name, and when one is dropped and made anew, by `airflow db reset` and `pg_restore --clean` too. It stays through a restart,
    a failover to a physical standby, a migration and VACUUM FULL; through TRUNCATE and the restore of a physical backup as
    well, which only the rows can tell. pg_upgrade, and a logical replica that is switched to, look like another database.
    """
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(_NAMED_WITH_SYSTEM)
    except (ProgrammingError, NotSupportedError, InternalError):
        return _NAMED
    return _NAMED_WITH_SYSTEM
