"""What pydantic found wrong with a merged tree, in the user's words and at the place in the user's file."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as KeyedBy
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from airflow_obs.errors import Problem, meant
from airflow_obs.policy.tree import Mapping, Node, Place, Scalar, Sequence, shown

Path = tuple[str | int, ...]
Model = type[BaseModel]


_LISTED = 20
"""Most keys that a message lists."""


def fields_of(model: Model) -> KeyedBy[str, FieldInfo]:
    """The model's fields by the key that stands in YAML; a model that makes them when they are asked for says so by `fields`."""
    made: KeyedBy[str, FieldInfo] | None = getattr(model, "fields", None)
    return made if made is not None else {info.alias or name: info for name, info in model.model_fields.items()}


def model_in(annotation: Any) -> Model | None:
    """The model that a value of this type is, or that the items of this list are; None for anything else."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := model_in(part))), None)


def plain(node: Node, model: Model | None) -> Any:
    """The tree as dicts, tuples and scalars.

    Where the model holds a mapping, a key without a value counts as not given; where it may also hold None
    (`database:`), it is an empty mapping, so that a source can be listed by its name alone, unless something in it is required.
    """
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return tuple(plain(item, model) for item in node.items)
    fields = fields_of(model) if model else {}
    values = {}
    for key, (_, child) in node.entries.items():
        annotation = fields[key].annotation if key in fields else None
        inner = model_in(annotation)
        if not isinstance(child, Scalar) or child.value is not None or inner is None:
            values[key] = plain(child, inner)
        elif get_origin(annotation) is tuple:
            values[key] = None
        elif annotation is not inner:
            values[key] = None if any(info.is_required() for info in fields_of(inner).values()) else {}
    return values


def problems(error: ValidationError, root: Mapping, model: Model, site: str) -> Iterator[Problem]:
    """One problem per complaint; where several values may be to blame, it is one that stands in the file `site`."""
    for detail in error.errors(include_url=False):
        path = detail["loc"]
        more: Any = detail.get("ctx", {}).get("at", ())
        candidates = [*((*path[:-1], *at) for at in more), path]
        blamed = next((at for at in candidates if _place(root, at).file == site), path)
        yield _place(root, blamed, is_key=detail["type"] == "extra_forbidden").problem(_worded(detail, blamed, model))


def problem(root: Mapping, path: Path, text: str) -> Problem:
    """`text` of the value at `path`, at its place."""
    return _place(root, path).problem(_dotted(path) + text)


def is_written(root: Mapping, path: Path) -> bool:
    """Whether somebody wrote a value at `path`."""
    node: Node | None = root
    for part in path:
        if isinstance(node, Mapping) and isinstance(part, str):
            node = node.entries[part][1] if part in node.entries else None
        elif isinstance(node, Sequence) and isinstance(part, int):
            node = node.items[part] if part < len(node.items) else None
        else:
            return False
    return node is not None and not (isinstance(node, Scalar) and node.value is None)


def _place(root: Mapping, path: Path, *, is_key: bool = False) -> Place:
    """Where the value at `path` (or its key) begins, or the innermost thing around it that was written."""
    place, node = root.place, root  # type: tuple[Place, Node]
    for part in path:
        if isinstance(node, Mapping) and isinstance(part, str) and part in node.entries:
            key_place, node = node.entries[part]
        elif isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
            key_place, node = node.place, node.items[part]
        else:
            return place
        place = node.place
    return key_place if is_key and path else place


def _worded(detail: ErrorDetails, path: Path, model: Model) -> str:
    kind = detail["type"]
    if kind == "extra_forbidden":
        return _dotted(path[:-1]) + _unknown(str(path[-1]), _model_at(model, path[:-1]))
    if kind == "missing":
        return f"{_dotted(path[:-1])}`{path[-1]}` is missing: add it"
    if kind in ("model_type", "model_attributes_type"):
        inside = _model_at(model, path)
        where = _elsewhere(inside).get("url")
        text = f"{_dotted(path)}write a mapping of {', '.join(fields_of(inside))}"
        return f"{text}; {where}" if where and "://" in str(detail["input"]) else text
    if kind == "tuple_type":
        return f"{_dotted(path)}write a list: each item begins with `- `"
    return _dotted(path) + detail["msg"]


def _dotted(path: Path) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return f"{text[1:]}: " if text else ""


def _model_at(model: Model, path: Path) -> Model:
    for part in path:
        if isinstance(part, str):
            model = model_in(fields_of(model)[part].annotation) or model
    return model


def _elsewhere(model: Model) -> KeyedBy[str, str]:
    return getattr(model, "elsewhere", {})


def _unknown(key: str, model: Model) -> str:
    known = sorted(fields_of(model))
    if where := _elsewhere(model).get(key):
        return f"`{key}` does not belong here: {where}"
    near = meant(key, known)
    unknown = f"unknown key {shown(key)}".strip()
    if near:
        return f"{unknown}: did you mean `{near}`?"
    if len(known) > _LISTED:
        return f"{unknown}: {len(known)} are known here, such as {known[0]}"
    return f"{unknown}: known here {'is' if len(known) == 1 else 'are'} {', '.join(known)}"
