"""The Airflow releases the tests know: how to install each one, and the migration head its database carries."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AirflowRelease:
    """One release of Airflow.

    `exclude_newer` is the day (UTC) after which uploads are ignored, so that an old release meets the libraries of
    its time; None takes the newest of everything.
    """

    version: str
    python: str
    exclude_newer: str
    alembic_head: str
    prerelease: bool = False

    @property
    def major(self) -> int:
        """The first number of the version: 2 or 3."""
        return int(self.version.split(".", maxsplit=1)[0])

    @property
    def migrate_command(self) -> tuple[str, ...]:
        """What follows `airflow` to create the tables; `db migrate` came with 2.7."""
        minor = int(self.version.split(".")[1])
        return ("db", "migrate") if (self.major, minor) >= (2, 7) else ("db", "init")

    def install_arguments(self, *extras: str) -> list[str]:
        """What follows `uv pip install --python VENV` to install this release with these extras."""
        wanted = f"apache-airflow[{','.join(extras)}]" if extras else "apache-airflow"
        arguments = ["--exclude-newer", self.exclude_newer]
        if self.prerelease:
            arguments += ["--prerelease", "allow"]
        return [*arguments, f"{wanted}=={self.version}"]


RELEASES = {
    release.version: release
    for release in (
        AirflowRelease("2.4.3", "3.10", "2022-11-18", "e07f49787c9d"),
        AirflowRelease("2.7.1", "3.11", "2023-09-10", "405de8318b3a"),
        AirflowRelease("2.10.5", "3.11", "2025-02-14", "5f2621c13b39"),
        AirflowRelease("2.11.2", "3.11", "2026-04-15", "5f2621c13b39"),
        AirflowRelease("3.0.2", "3.11", "2025-06-14", "29ce7909c52b"),
        AirflowRelease("3.1.8", "3.11", "2026-04-01", "509b94a1042d"),
        AirflowRelease("3.2.2", "3.11", "2026-07-15", "1d6611b6ab7c"),
        AirflowRelease("3.3.2", "3.11", "2026-11-21", "d2f4e1b3c5a7"),
        AirflowRelease("3.4.0b2", "3.11", "2026-11-21", "9cffe90fa0c0", prerelease=True),
    )
}
"""Every release by version, oldest first."""


def cache_folder() -> Path:
    """Where installed releases stay between runs: `$XDG_CACHE_HOME/airflow-obs`, else `~/.cache/airflow-obs`."""
    cache_home = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache_home) if cache_home else Path.home() / ".cache") / "airflow-obs"
