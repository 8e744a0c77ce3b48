"""What is in force: every value of a policy, where it was written, and what it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from airflow_obs.catalog.alerts import ALL
from airflow_obs.policy import tree
from airflow_obs.policy.alerts import AlertsPolicy, raised, written
from airflow_obs.policy.durations import text_of
from airflow_obs.policy.explain import fields_of
from airflow_obs.policy.knobs import Duration
from airflow_obs.policy.loader import DEFAULT_FILE
from airflow_obs.policy.model import Policy
from airflow_obs.policy.quantities import Ratio, text_of_ratio


@dataclass(frozen=True)
class Effective:
    """One value in force: its path (`deployments[0].name`), as it stands in YAML, `FILE:LINE` or `default`, what it is for."""

    path: str
    value: str
    source: str
    description: str

    def __str__(self) -> str:
        return f"{self.path} = {self.value}  # {self.source}: {self.description}"


def effective(policy: Policy, merged: tree.Mapping) -> Iterator[Effective]:
    """Every value of the policy that was made of this tree, in the order of the model."""
    for key in fields_of(Policy):
        if key == "alerts":
            yield from _of_alerts(_child(merged, key), key, policy.output.two_scrapes)
        else:
            yield from _of_key(policy, key, merged, key)


def _of_model(model: BaseModel, node: tree.Node | None, path: str) -> Iterator[Effective]:
    if isinstance(model, AlertsPolicy):
        yield from _of_alerts(node, path, None)
        return
    for key in fields_of(type(model)):
        yield from _of_key(model, key, node, f"{path}.{key}")


def _of_key(model: BaseModel, key: str, node: tree.Node | None, path: str) -> Iterator[Effective]:
    value = getattr(model, _attribute(type(model), key))
    yield from _of_value(value, fields_of(type(model))[key], _child(node, key), path, _source(node, key))


def _of_value(value: Any, info: FieldInfo, node: tree.Node | None, path: str, source: str) -> Iterator[Effective]:
    if isinstance(value, BaseModel):
        yield from _of_model(value, node, path)
    elif isinstance(value, tuple) and any(isinstance(item, BaseModel) for item in value):
        items = node.items if isinstance(node, tree.Sequence) else ()
        for index, item in enumerate(value):
            yield from _of_model(item, items[index] if index < len(items) else None, f"{path}[{index}]")
    else:
        yield Effective(path, shown(value, info), source, info.description or "")


def _of_alerts(node: tree.Node | None, path: str, two_scrapes: float | None) -> Iterator[Effective]:
    """Of all that is written or, where it is known how long two scrapes take, of all."""
    for alert in ALL:
        own = _child(node, alert.name)
        if two_scrapes is None and own is None:
            continue
        fields = fields_of(AlertsPolicy)[alert.name].annotation
        about = fields_of(next(part for part in get_args(fields) if part is not type(None)))
        longer = raised(alert, two_scrapes or 0)
        for key, default in written(alert).items():
            given = _child(own, key)
            value, source = longer.get(key, default), "two scrapes" if key in longer else "default"
            if isinstance(given, tree.Scalar) and given.value is not None:
                value, source = given.value, _source(own, key)
            elif two_scrapes is None:
                continue
            yield Effective(f"{path}.{alert.name}.{key}", _scalar(value), source, about[key].description or "")


def shown(value: Any, info: FieldInfo) -> str:
    """The value as it would be written in a policy."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_scalar, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_scalar(text)}' for key, text in value.items())}}}"
    kinds = {type(kind) for kind in _metadata(info)}
    if isinstance(value, float) and Duration in kinds:
        return text_of(value)
    if isinstance(value, Decimal):
        return text_of_ratio(value) if Ratio in kinds else f"{value.normalize():f}"
    return _scalar(value)


def _metadata(info: FieldInfo) -> Iterator[object]:
    yield from info.metadata
    for part in get_args(info.annotation):
        yield from getattr(part, "__metadata__", ())


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # what would be read as something else, or as nothing, if it stood there bare
        bare = (
            tree.resolve(value) == value
            and not set(value) & set("#:{}[],&*!|>'\"@`\n")
            and value[:1] != "%"
            and value.strip() == value != ""
        )
        return value if bare else '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return str(value)


def _attribute(model: type[BaseModel], key: str) -> str:
    return next((name for name, info in model.model_fields.items() if info.alias == key), key)


def _child(node: tree.Node | None, key: str) -> tree.Node | None:
    return node.entries[key][1] if isinstance(node, tree.Mapping) and key in node.entries else None


def _source(node: tree.Node | None, key: str) -> str:
    if not isinstance(node, tree.Mapping) or key not in node.entries:
        return "default"
    place = node.entries[key][0]
    return "default" if place.file == DEFAULT_FILE else f"{place.file}:{place.line}"
