"""Reads Airflow's `[core] executor`: one executor or several, with aliases, for all or for teams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_OF_AIRFLOW = "airflow."
"""Where the paths of Airflow's own executors begin, whatever the release."""
_OF_CELERY = "airflow.providers.celery."


@dataclass(frozen=True)
class Executors:
    """Executors as names or dotted paths; `default` runs the tasks that name none, `aliases` are names that a site gave.

    https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/executor/index.html; a team's own (3.2+, behind
    `;team=`) are among `all`, and the default of the teams is not told apart.
    """

    default: str
    all: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parsed(cls, text: str) -> Executors:
        """What the option says, such as `LocalExecutor,far:path.to.CeleryExecutor;team=CeleryExecutor`."""
        everyones, *of_teams = text.split(";")
        entries = [
            entry for part in (everyones, *(team.partition("=")[2] for team in of_teams)) for entry in part.split(",")
        ]
        pairs = [
            (alias.strip(), path.strip()) for alias, colon, path in (entry.partition(":") for entry in entries) if colon
        ]
        names = tuple(entry.rpartition(":")[2].strip() for entry in entries if entry.strip())
        return cls(names[0] if names else "", names, dict(pairs))

    @property
    def celery(self) -> bool | None:
        """Whether Celery runs tasks; None when it cannot be told, since an executor is the site's own."""
        if any(map(is_celery, self.all)):
            return True
        return None if any("." in name and not name.startswith(_OF_AIRFLOW) for name in self.all) else False


def is_celery(executor: str) -> bool:
    """Whether an executor hands tasks to Celery, by its name or path: Airflow's own, or a class called after them."""
    name = executor.rpartition(".")[2].lower()
    return executor.startswith(_OF_CELERY) or name.endswith(("celeryexecutor", "celerykubernetesexecutor"))
