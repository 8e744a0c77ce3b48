"""What others alert on is covered by alerts that exist, or refused with a reason that is used once it is said."""

from __future__ import annotations

from collections import Counter

import pytest

from airflow_obs.catalog.alerts import BY_NAME
from airflow_obs.catalog.peers import PEERS, Peer
from airflow_obs.generate.peers import PAGE, peers


def test_what_covers_an_alert_of_others_exists() -> None:
    unknown = {name: peer.name for peer in PEERS for name in peer.covered if name not in BY_NAME}
    assert not unknown


def test_nothing_is_listed_twice() -> None:
    assert [key for key, count in Counter((peer.who, peer.name) for peer in PEERS).items() if count > 1] == []


@pytest.mark.parametrize("said", [{}, {"covered": ("AirflowDatabaseDown",), "refused": "no"}], ids=["neither", "both"])
def test_it_is_covered_or_refused(said: dict[str, tuple[str, ...] | str]) -> None:
    with pytest.raises(ValueError, match="say what covers it"):
        Peer("somebody", "Alert", "always", **said)  # type: ignore[arg-type]  # as the test has it


def test_the_page_has_a_row_of_four_cells_for_each() -> None:
    page = peers()[PAGE]
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| who")]
    assert len(rows) == len(PEERS)
    assert {row.count(" | ") for row in rows} == {3}
