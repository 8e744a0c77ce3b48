"""Every package that the tests run with is pinned in constraints.txt: none comes in another version tomorrow."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.airflow_schemas import ROOT


def needed(package: str, extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> Iterator[str]:
    """The canonical names of all that this package needs here with these extras, and what that needs."""
    if (package, extras) in seen:
        return
    seen.add((package, extras))
    for line in requires(package) or ():
        one = Requirement(line)
        wanted = one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras or {""})
        if not wanted:
            continue
        yield canonicalize_name(one.name)
        yield from needed(one.name, frozenset({"", *one.extras}), seen)


def test_every_package_is_pinned() -> None:
    pinned = {
        canonicalize_name(line.partition("==")[0])
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    # pip's own kin, `pip freeze` leaves out.
    wanted = set(needed("airflow-obs", frozenset({"", "dev"}), set())) - {"airflow-obs", "setuptools"}
    assert len(wanted) > 50
    assert wanted - pinned == set()
