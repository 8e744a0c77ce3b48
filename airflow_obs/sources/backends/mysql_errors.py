"""What MySQL's and MariaDB's error numbers mean for whoever only reads."""

from __future__ import annotations

import re

import pymysql
from pymysql.constants import CR, ER

from airflow_obs.errors import SourceError, SourceUnreachable
from airflow_obs.sources.backends import tls_errors
from airflow_obs.sources.backends.backend import Refusal, SchemaChanged
from airflow_obs.sources.grants import RUN_GRANTS

_MAX_STATEMENT_TIME, _MAX_EXECUTION_TIME = 1969, 3024
"""The query took too long: MariaDB, MySQL."""
_KILLED = 1927
"""MariaDB: somebody ended our session."""
_LINE_LOST = {CR.CR_CONNECTION_ERROR, CR.CR_CONN_HOST_ERROR, CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST, _KILLED}
_ACCESS_DENIED = {ER.ACCESS_DENIED_ERROR, 1698}
"""By password, and by any other proof."""
_ACCOUNT = {1820, 1862, 3118, 3159, 3955, 4150, 4151}
"""The password has expired (twice), the account is locked, it must use TLS, it is blocked: MySQL; blocked, locked: MariaDB."""
_NOT_LET_IN = {
    *_ACCESS_DENIED,
    *_ACCOUNT,
    ER.DBACCESS_DENIED_ERROR,
    ER.BAD_DB_ERROR,
    ER.HOST_NOT_PRIVILEGED,
    ER.HOST_IS_BLOCKED,
    CR.CR_SSL_CONNECTION_ERROR,
}
_FULL = {ER.CON_COUNT_ERROR, ER.TOO_MANY_USER_CONNECTIONS, ER.USER_LIMIT_REACHED}
_SHUTTING_DOWN = {ER.SERVER_SHUTDOWN, ER.NORMAL_SHUTDOWN}
_UNREACHABLE = _LINE_LOST | _NOT_LET_IN | _FULL | _SHUTTING_DOWN
_DENIED = {ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR, ER.SPECIFIC_ACCESS_DENIED_ERROR}

_NO_DATABASE = f"; {RUN_GRANTS['mysql']}, or the database's name is wrong (capitals count)"
_ACCESS = "; the password is wrong, there is no such account for our host, or it demands TLS (ssl_mode) or a certificate (ssl_cert)"


def number(cause: Exception) -> int | None:
    """The error's number: the server's from 1000 on, the client's from 2000; None where it has none."""
    first = cause.args[0] if isinstance(cause, pymysql.Error) and cause.args else None
    return first if isinstance(first, int) else None


def line_lost(cause: Exception) -> bool:
    """Whether it may come of a connection that was cut; a cut one may also be "closed" already."""
    return isinstance(cause, pymysql.InterfaceError) or number(cause) in _LINE_LOST


def denied(cause: Exception) -> bool:
    """Whether a privilege is missing."""
    return number(cause) in _DENIED


def locked(cause: Exception) -> bool:
    """Whether a lock stood in the way."""
    return number(cause) == ER.LOCK_WAIT_TIMEOUT


def explain(refusal: Refusal) -> SourceError:
    """See Backend.explain."""
    cause, where = refusal.cause, refusal.place
    text = re.sub(r"^\((\d+), ['\"](.*)['\"]\)$", r"\2 (error \1)", refusal.text)
    text = re.sub(r" \(_ssl\.c:\d+\)", "", text)  # where in Python's source
    if denied(cause):
        return SourceError(f"database: {text}; {RUN_GRANTS['mysql']}")
    if locked(cause):
        return SourceError(
            f"database: {text}: somebody holds a lock on the table's definition (a migration, ALTER TABLE?)"
        )
    match number(cause):
        case taken if taken in {_MAX_STATEMENT_TIME, _MAX_EXECUTION_TIME}:
            return SourceError(f"database: the query took more than its timeout of {refusal.budget:g}s ({text})")
        case ER.QUERY_INTERRUPTED:
            return SourceError(f"database: the query was stopped ({text})")
        case ER.NO_SUCH_TABLE | ER.BAD_FIELD_ERROR:
            return SchemaChanged(
                f"database: {text}; the schema changed under us (a migration?), it is read anew next time"
            )
        case unreachable if unreachable in _UNREACHABLE or line_lost(cause):
            return SourceUnreachable(f"database: cannot be reached{where}: {text}{_cure(unreachable, text)}")
        case _:
            return SourceError(f"database: {type(cause).__name__}: {text}")


def _cure(error: int | None, text: str) -> str:
    """What to do about a server that does not let us in, to be put behind its `text`."""
    if error in _ACCESS_DENIED:
        return _ACCESS
    return _NO_DATABASE if error == ER.DBACCESS_DENIED_ERROR else tls_errors.advice(text, tls_errors.MYSQLS)
