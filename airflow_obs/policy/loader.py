"""Reads a site's policy, lays it over the default one and reports everything wrong with it at once."""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from airflow_obs.errors import PolicyError, Problem
from airflow_obs.policy import explain, references, tree
from airflow_obs.policy.knobs import FromFile
from airflow_obs.policy.model import Policy

DEFAULT_FILE = "airflow_obs/policy/default.yaml"
"""How problems with the packaged default name it."""

MAX_BYTES = 1 << 20
"""A thousand deployments fit into a third of this."""


def default_text() -> str:
    """The default policy as YAML: the documented example."""
    return resources.files("airflow_obs.policy").joinpath("default.yaml").read_text("utf-8")


def load(path: Path | None = None) -> Policy:
    """The policy in the file `path` laid over the default one; the default one for None.

    Raises PolicyError with every problem, in the order of the file; a file that cannot be read is one as well.
    """
    if path is None:
        return loads("", DEFAULT_FILE)
    return loads(read(path, "policy", ", or none to use the default"), str(path))


def read(path: Path, what: str, otherwise: str = "") -> str:
    """The text of a file that is said to be a policy, or `what` else. Raises PolicyError if it cannot be that."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "not a path"
        raise _unusable(path, f"cannot be read ({why.lower()}): give the path of a {what}{otherwise}") from None
    if len(content) > MAX_BYTES:
        raise _unusable(path, f"larger than {MAX_BYTES} bytes: no {what} is, give the path of a {what}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line_start = before.rfind(b"\n") + 1
        column = len(before[line_start:].decode("utf-8", "replace")) + 1
        raise _unusable(path, "not UTF-8 text: save the file as UTF-8", before.count(b"\n") + 1, column) from None
    return text


def loads(text: str, file: str) -> Policy:
    """The policy in `text` laid over the default one; `file` is what problems call it. Raises PolicyError."""
    site, found = tree.compose(text, file)
    if site is None:
        raise PolicyError(found)
    return _checked(tree.overlay(_default(), site), file, found)


def _checked(merged: tree.Mapping, file: str, found: list[Problem]) -> Policy:
    """The policy in a merged tree in which these problems were found already. Raises PolicyError."""
    values = explain.plain(merged, Policy)
    at_odds = [explain.problem(merged, path, text) for path, text in references.wrong(values)]
    try:
        policy = Policy.model_validate(values, context=FromFile())
    except ValidationError as error:
        raise PolicyError([*found, *at_odds, *explain.problems(error, merged, Policy, file)]) from None
    if found or at_odds:
        raise PolicyError([*found, *at_odds])
    return policy


def merged(path: Path | None = None) -> tree.Mapping:
    """The tree of a sound policy over the default one: each value with the place at which it was written. Raises PolicyError."""
    text, file = ("", DEFAULT_FILE) if path is None else (read(path, "policy"), str(path))
    site, found = tree.compose(text, file)
    if site is None or found:
        raise PolicyError(found)
    return tree.overlay(_default(), site)


def default_values() -> dict[str, Any]:
    """The default policy as it is written: dicts, tuples and scalars."""
    values: dict[str, Any] = explain.plain(_default(), Policy)
    return values


@functools.cache
def _default() -> tree.Mapping:
    node, found = tree.compose(default_text(), DEFAULT_FILE)
    if node is None or found:
        raise PolicyError(found)
    return node


def _unusable(path: Path, text: str, line: int = 1, column: int = 1) -> PolicyError:
    return PolicyError([Problem(str(path), line, column, text)])
