"""Pages read back with the parsers of prometheus_client."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample

Series = Mapping[str, str]


class Page:
    """A page in the Prometheus text format (or in OpenMetrics): its series by name and labels."""

    def __init__(self, text: str, *, openmetrics: bool = False) -> None:
        self.text = text
        self.families: list[Family] = list(parse_openmetrics(text) if openmetrics else parse_text(text))

    @property
    def samples(self) -> list[Sample]:
        """Every line of the page."""
        return [sample for family in self.families for sample in family.samples]

    @property
    def names(self) -> set[str]:
        """The names of its lines."""
        return {sample.name for sample in self.samples}

    def values(self, name: str, **labels: str) -> list[float]:
        """The values of the series of that name that have these labels among theirs."""
        return [
            sample.value for sample in self.samples if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def value(self, name: str, **labels: str) -> float:
        """The value of the one such series; raises LookupError if there is none, or more than one."""
        found = self.values(name, **labels)
        if len(found) != 1:
            raise LookupError(f"{len(found)} series {name}{labels}")
        return found[0]
