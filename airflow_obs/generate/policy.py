"""What of the policy is generated: its JSON Schema for editors, and the alerts in the documented default."""

from __future__ import annotations

import json
from pathlib import Path

from airflow_obs.generate.tree import MARKER, Tree
from airflow_obs.policy.default_alerts import with_alerts
from airflow_obs.policy.loader import DEFAULT_FILE, default_text
from airflow_obs.policy.schema import json_schema

SCHEMA_FILE = "airflow_obs/policy/schema.json"


def policy_files(folder: Path) -> Tree:
    """The default policy and its schema, as they should be if the source of this program is in that folder; else nothing."""
    if not (folder / DEFAULT_FILE).is_file():
        return {}
    return {DEFAULT_FILE: with_alerts(default_text()), SCHEMA_FILE: schema_text()}


def schema_text() -> str:
    """The JSON Schema of a policy as text; that it is generated stands in the first line."""
    text = json.dumps({"$comment": MARKER, **json_schema()}, ensure_ascii=False, indent=1)
    return text.replace("{\n ", "{", 1) + "\n"
