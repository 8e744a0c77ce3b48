"""What a collector is: reads typed rows from its source, and makes samples of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

from airflow_obs.model import Reading

SourceT_contra = TypeVar("SourceT_contra", contravariant=True)
Rows = TypeVar("Rows")


class Collector(Protocol[SourceT_contra, Rows]):
    """Feeds every metric of the catalogue whose `collector` is its name, and no other.

    `source` names where it reads. It may raise SourceError (and let the source's own errors through): then none of its
    samples are kept. Nothing to report is no error.
    """

    name: str
    source: str

    def read(self, source: SourceT_contra, /) -> Rows:
        """The facts, as typed rows."""

    def samples(self, rows: Rows, /) -> Iterator[Reading]:
        """The rows as samples; of each family the most telling first, since the first max_series are kept."""


AnyCollector = Collector[Any, Any]
