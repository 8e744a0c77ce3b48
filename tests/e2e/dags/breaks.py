# mypy: ignore-errors
"""A file that airflow takes for a dag, that takes a while to parse, and that cannot be imported."""

import time

time.sleep(1)
raise RuntimeError("this file is not to be imported")
