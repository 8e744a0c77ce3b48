# mypy: ignore-errors
"""A file that airflow takes for a dag, and that cannot be imported."""

raise RuntimeError("this file is not to be imported")
