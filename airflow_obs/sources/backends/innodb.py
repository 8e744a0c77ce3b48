"""How InnoDB's own catalogue names a database."""

from __future__ import annotations

import re


def file_name(database: str) -> str:
    """For LIKE … ESCAPE '!': its folder's name, where other characters than these are @002d.

    https://dev.mysql.com/doc/refman/8.4/en/identifier-mapping.html
    """
    return re.sub(r"[^0-9A-Za-z_]", lambda found: f"@{ord(found[0]):04x}", database).replace("_", "!_")
