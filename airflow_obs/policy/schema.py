"""The JSON Schema of a site's policy, for editors."""

from __future__ import annotations

from typing import Any

from airflow_obs.policy.loader import default_values
from airflow_obs.policy.model import Policy


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12): nothing is required, since what a site leaves out comes from the default policy."""
    schema = Policy.model_json_schema()
    for model in (schema, *schema["$defs"].values()):
        model.pop("required", None)
        for knob in model["properties"].values():
            if bounds := knob.pop("bounds", None):
                knob["description"] += f" From {bounds[0]} to {bounds[1]}."
    # the collectors share models, so the defaults of each stand beside its reference
    collectors = schema["$defs"]["Collectors"]["properties"]
    for name, values in default_values()["collectors"].items():
        collectors[name]["default"] = values
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
