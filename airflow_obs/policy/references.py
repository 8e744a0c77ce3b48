"""What one part of a policy says of another: what it names must be there, and Alertmanager must know what it is given."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from airflow_obs.catalog import alerts
from airflow_obs.errors import meant
from airflow_obs.policy.alertmanager import Alertmanager, parsed
from airflow_obs.policy.receivers import SINCE

Path = tuple[str | int, ...]

_SAID = (
    ("team", ("deployments", "*", "team")),
    ("receiver", ("teams", "*", "receiver")),
    ("receiver", ("teams", "*", "receivers", "*")),
    ("receiver", ("alertmanager", "default")),
    ("receiver", ("alertmanager", "shadow")),
    ("receiver", ("alertmanager", "watchdog")),
    ("deployment", ("silences", "*", "deployments", "*")),
    ("team", ("silences", "*", "teams", "*")),
    ("alert", ("silences", "*", "alerts", "*")),
    ("team", ("slos", "*", "team")),
    ("deployment", ("slos", "*", "deployments", "*")),
)
"""What is named, and where."""


def wrong(values: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Each path at which a policy (as dicts, tuples and scalars, sound or not) is at odds with itself, and what to say."""
    known: dict[str, Collection[str]] = {
        kind: [name for _, name in _found(values, (f"{kind}s", "*", "name")) if isinstance(name, str)]
        for kind in ("team", "receiver")
    }
    known["deployment"] = [
        one.get("name", "airflow") for _, one in _found(values, ("deployments", "*")) if _is_map(one)
    ]
    known["alert"] = alerts.BY_NAME
    for kind, pattern in _SAID:
        for path, name in _found(values, pattern):
            if isinstance(name, str) and name not in known[kind]:
                yield path, _missing(kind, name, known[kind])
    for path, name in _found(values, ("silences", "*", "alerts", "*")):
        if name in known["alert"] and alerts.BY_NAME[name].always_fires:
            yield path, "it always fires, to show that alerts arrive, and no silence is for it: remove it"
    yield from _too_new(values)


def _too_new(values: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    chosen = [version for _, version in _found(values, ("alertmanager", "version"))] or [Alertmanager().version]
    try:
        version = parsed(chosen[0])
    except (AttributeError, ValueError):
        return
    for keys, (since, instead) in SINCE.items():
        if version < parsed(since):
            for path, value in _found(values, ("receivers", "*", *keys)):
                if value is not None:
                    text = f"Alertmanager knows {'.'.join(keys)} since {since}, and alertmanager.version is {chosen[0]}"
                    yield path, f"{text}: raise that if yours is newer, or use {instead}"


def _found(value: Any, pattern: Path, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The values at the paths that a pattern fits, `*` being each key or index."""
    if not pattern:
        yield path, value
        return
    key, rest = pattern[0], pattern[1:]
    if isinstance(value, tuple) and key == "*":
        for index, item in enumerate(value):
            yield from _found(item, rest, (*path, index))
    elif _is_map(value):
        for name in value if key == "*" else {key} & set(value):
            yield from _found(value[name], rest, (*path, name))


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)


def _missing(kind: str, name: str, known: Collection[str]) -> str:
    text = f"there is no {kind} of that name"
    if near := meant(name, known):
        return f"{text}: did you mean {near}?"
    if kind == "alert":
        return f"{text}: `airflow-obs policy explain alerts` lists them"
    return f"{text}, only {', '.join(known)}" if known and len(known) <= 20 else f"{text}: add it to `{kind}s`"
