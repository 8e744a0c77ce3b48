"""What the status page says first: no more than was looked at."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from airflow_obs.exporter.web.page.condition import DOWN, NOT_RUN, Source
from airflow_obs.exporter.web.page.faults import Fault
from airflow_obs.exporter.web.page.judgement import Judgement


@dataclass(frozen=True)
class Verdict:
    """One sentence, the same in a word or two for the title, what it rests on, and whether that is good (None: neither)."""

    text: str
    title: str
    rests_on: str
    well: bool | None


def verdict(
    wrong: Sequence[Fault], sources: Sequence[Source], judgement: Judgement, ambiguous: Collection[str] = ()
) -> Verdict:
    """What these faults come to, of these sources, by these alerts, of which the ambiguous are not decided."""
    major = sum(not one.minor for one in wrong)
    minor = len(wrong) - major
    answering = [one for one in sources if one.state != DOWN]
    succeeding = [name for one in answering for name in one.succeeding]
    collectors = [one for source in answering for one in source.collectors]
    waiting = sum(one.state == NOT_RUN for one in collectors)
    others = "other " if len(answering) < len(sources) else ""
    succeed = f"{len(succeeding)} of {len(collectors)} {others}collectors succeed"
    known = "1 is good to know" if minor == 1 else f"{minor} are good to know"
    if major:
        text = "1 thing looks wrong" if major == 1 else f"{major} things look wrong"
        parts = [f"{text}, and {known}" if minor else text, *([succeed] if collectors else ())]
        return Verdict("; ".join(parts), f"{major} wrong", "", well=False)
    rests_on = _rests_on(judgement, judgement.decided(succeeding, ambiguous), minor)
    text = f", {known}" if minor else ""
    if waiting:
        have = "has" if waiting == 1 else "have"
        return Verdict(
            f"Nothing looks wrong so far{text}; {waiting} of {len(collectors)} collectors {have} not run yet",
            "starting", rests_on, well=None,
        )  # fmt: skip
    return Verdict(
        f"Nothing looks wrong{text}; {succeed}", "nothing wrong seen", rests_on, well=None if minor else True
    )


def _rests_on(judgement: Judgement, decided: int, minor: int) -> str:
    left = len(judgement.alerts) - decided
    none = f"Of the {decided} alerts that this moment decides none holds{' that calls for anybody' if minor else ''}."
    return f"{none} {left} more take history, or what is not seen here: ask Prometheus."
