"""Reads the file of --web.config.file and reports everything wrong with it at once, without what may be secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
from pydantic import ValidationError

from airflow_obs.errors import PolicyError, Problem
from airflow_obs.exporter.web.fields import WebConfig
from airflow_obs.policy import explain, loader, tree

WHAT = "web configuration"
TLS = "tls_server_config"
USERS = "basic_auth_users"

_HASH = re.compile(r"\$2[abxy]\$(?:0[4-9]|[12][0-9]|3[01])\$([./A-Za-z0-9]{22})[./A-Za-z0-9]{31}")
_CHEAPEST = "$2b$04$"


@dataclass(frozen=True)
class Written:
    """A file that was read: what it says, and where; what it names may be missing."""

    path: Path
    said: WebConfig
    root: tree.Mapping = field(repr=False)  # it holds what is secret, too

    def wrong(self, text: str, *key: str) -> Problem:
        """The problem `text` of the value at `key`."""
        return explain.problem(self.root, key, text)

    def file(self, name: str) -> Path | None:
        """The file that stands at this key of tls_server_config; relative ones are beside this file."""
        tls = self.said.tls_server_config
        named: str = getattr(tls, name) if tls else ""
        return self.path.parent / named if named else None


def read(path: Path) -> Written:
    """What this file says. Raises PolicyError with every problem, in the order of the file."""
    if path.exists() and not path.is_file():  # who reads a pipe waits for whoever writes it, and all clients with him
        raise PolicyError([Problem(str(path), 1, 1, f"is no file: give the path of a {WHAT}")])
    return reads(loader.read(path, WHAT), path)


def reads(text: str, path: Path) -> Written:
    """What `text`, of this file, says. Raises PolicyError."""
    root, found = tree.compose(text, str(path), WHAT, TLS)
    if root is None:
        raise PolicyError(found)
    found += _users(root)
    try:
        said = WebConfig.model_validate(explain.plain(root, WebConfig))
    except ValidationError as error:
        raise PolicyError([*found, *explain.problems(error, root, WebConfig, str(path))]) from None
    if found:
        raise PolicyError(found)
    return Written(path, said, root)


def _users(root: tree.Mapping) -> Iterator[Problem]:
    """What is wrong with the users. No message names any: who has mixed them up wrote a password there."""
    users = root.entries[USERS][1] if USERS in root.entries else root
    if users is root or not isinstance(users, tree.Mapping):
        return
    for name, (place, node) in users.entries.items():
        if re.search(r"[:\x00-\x1f\x7f]", name):
            text = "nobody can log in by a name with `:` or a control character in it: choose another"
            yield place.problem(f"{USERS}: {text}")
        if not (isinstance(node, tree.Scalar) and _is_hash(node.value)):
            text = "not a bcrypt hash, and no password may stand here: make the hash of one with"
            yield node.place.problem(f"""{USERS}: {text} `htpasswd -nBC 10 "" | tr -d ':\\n'`""")


def _is_hash(value: object) -> bool:
    if not isinstance(value, str) or not (parts := _HASH.fullmatch(value)):
        return False
    try:
        bcrypt.hashpw(b"", (_CHEAPEST + parts[1]).encode())  # the last character of a salt has spare bits
    except ValueError:
        return False
    return True
