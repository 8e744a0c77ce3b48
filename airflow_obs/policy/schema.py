"""The JSON Schema of a site's policy, for editors."""

from __future__ import annotations

from typing import Any

from airflow_obs.policy.alerts import AlertPolicy
from airflow_obs.policy.durations import text_of
from airflow_obs.policy.loader import default_values
from airflow_obs.policy.model import Policy


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12): nothing is required, since what a site leaves out comes from the default policy."""
    schema: dict[str, Any] = _for_editors(Policy.model_json_schema())
    for model in (schema, *schema["$defs"].values()):
        model.pop("required", None)
    # what all alerts have stands there once
    shared = _for_editors(AlertPolicy.model_json_schema())
    schema["$defs"]["AlertPolicy"] = shared
    for alert in schema["$defs"]["AlertsPolicy"]["properties"].values():
        alert["properties"] |= {key: {"$ref": f"#/$defs/AlertPolicy/properties/{key}"} for key in shared["properties"]}
    # the collectors share models, so the defaults of each stand beside its reference
    collectors = schema["$defs"]["Collectors"]["properties"]
    for name, values in default_values()["collectors"].items():
        collectors[name]["default"] = values
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _for_editors(node: Any) -> Any:
    """The same without titles that only repeat the key, and with the bounds of quantities in words."""
    if isinstance(node, list):
        return [_for_editors(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _for_editors(value) for key, value in node.items() if key != "title" or not isinstance(value, str)}
    bounds = kept.pop("bounds", None) or next(
        (one.pop("bounds") for one in kept.get("anyOf", ()) if "bounds" in one), None
    )
    if bounds:
        if "description" not in kept:
            return {**kept, "bounds": bounds}
        kept["description"] += f" From {bounds[0]} to {bounds[1]}."
        if isinstance(default := kept.get("default"), float):
            kept["default"] = text_of(default)
    return kept
