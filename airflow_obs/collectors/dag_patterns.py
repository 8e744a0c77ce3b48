"""Which DAGs the policy's globs choose, and the globs that choose none: mistakes that nobody else sees."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping
from fnmatch import translate

from airflow_obs.policy.dags import DagsPolicy

log = logging.getLogger(__name__)


class Unmatched:
    """Globs, by their place in the policy. One that matches no DAG is said once, and once more if it does later."""

    def __init__(self, globs: Mapping[str, str]) -> None:
        self._globs = {place: (glob, any_of([glob])) for place, glob in globs.items()}
        """Those that have never matched a DAG. One that has is no mistake, whatever follows."""
        self._said: set[str] = set()

    def look_for_mistakes(self, dag_ids: Collection[str]) -> None:
        """Say which globs match none of these DAGs, all that there are; without any DAG nothing is known."""
        if not dag_ids:
            return
        for place, (glob, pattern) in list(self._globs.items()):
            if any(map(pattern.match, dag_ids)):
                del self._globs[place]
                if place in self._said:
                    log.info("policy: %s: %r matches a DAG now", place, glob)
            elif place not in self._said:
                self._said.add(place)
                log.warning(
                    "policy: %s: %r matches none of %d DAGs: correct it (upper and lower case differ), or remove it",
                    place, glob, len(dag_ids),
                )  # fmt: skip


class Patterns:
    """The policy's `include` and `exclude`; `unmatched` are those of their globs that match no DAG."""

    def __init__(self, policy: DagsPolicy) -> None:
        self._included, self._excluded = (any_of(policy.include), any_of(policy.exclude))
        self._named = any_of(glob for glob in policy.include if glob != "*")
        self.unmatched = Unmatched(
            {
                f"dags.{key}[{index}]": glob
                for key, globs in (("include", policy.include), ("exclude", policy.exclude))
                for index, glob in enumerate(globs)
            }
        )

    def wanted(self, dag_id: str) -> bool:
        """Whether the DAG may have series of its own."""
        return bool(self._included.match(dag_id)) and not self._excluded.match(dag_id)

    def named(self, dag_id: str) -> bool:
        """Whether the policy includes the DAG by another glob than `*`."""
        return bool(self._named.match(dag_id))


def any_of(globs: Iterable[str]) -> re.Pattern[str]:
    """Matches a DAG id that one of these globs does, in their own case; without any, nothing."""
    return re.compile("|".join(map(translate, globs)) or r"(?!)")
