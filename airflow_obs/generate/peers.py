"""The table of what others alert on, and what covers it here, made from the catalogue."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_obs.catalog.peers import PEERS, Peer
from airflow_obs.generate.tree import MARKER, Tree

PAGE = "rules/peers.md"

_HEAD = f"""<!-- {MARKER} -->

# What others alert on

Alerts for Airflow, and for what it stands on, that others have published: which of ours covers each, or why none does. Conditions
are in our words; *nobody* are those that we found nowhere.

| who | alert | fires when | here |
|---|---|---|---|
"""


def peers() -> Tree:
    """The page of others' alerts."""
    return {PAGE: _HEAD + "".join(_rows())}


def _rows() -> Iterator[str]:
    for peer in PEERS:
        yield f"| {peer.who} | {peer.name} | {peer.condition} | {_here(peer)} |\n"


def _here(peer: Peer) -> str:
    return ", ".join(f"`{name}`" for name in peer.covered) if peer.covered else f"refused: {peer.refused}"
