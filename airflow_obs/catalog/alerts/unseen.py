"""The ways of failing that no alert shows, and why."""

from __future__ import annotations

from collections.abc import Mapping

UNSEEN: Mapping[str, str] = {
    "L1": "whether a log can be read back is only known to who reads it: neither the database nor Airflow's metrics say",
    "X1": "no table and no metric shows which Fernet key a component has; its log has InvalidToken",
}
"""Why there is no alert, by the id of the failure in `catalog.failures`."""
