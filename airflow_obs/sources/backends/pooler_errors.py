"""What PgBouncer refuses, in its own words, and what to do about it."""

from __future__ import annotations

import re

_USERS = "PgBouncer knows the users of its auth_file, and those that its auth_query finds: the role and its password must be there"
_ADVICE = {
    "no more connections allowed": "PgBouncer has no room for another client: raise its max_client_conn",
    "query_wait_timeout": "the connections of PgBouncer's pool are all taken: look for transactions that are left open, or raise "
    "its pool size",
    "no such database": "PgBouncer calls databases as its section [databases] does, the official chart RELEASE-metadata: write "
    "that name into the URL",
    # The server names whom it does not let in: `for user "…"`.
    r"(?:password|SASL|\"trust\") authentication failed(?! for user)": _USERS,
    "no such user": _USERS,
    "unsupported startup parameter": "PgBouncer refuses that option: take it out of the URL",
    "server login has been failing": "PgBouncer lives, and the server behind it is down or does not let it in: look at the server "
    "itself, and at PgBouncer's log",
}


def advice(text: str) -> str:
    """What to do about a driver's `text`, to be put behind it; "" where PgBouncer has not said it."""
    return next((f"; {cure}" for said, cure in _ADVICE.items() if re.search(said, text)), "")
