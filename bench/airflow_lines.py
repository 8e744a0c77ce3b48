"""StatsD lines as Airflow sends them, out of the captures that the tests have: of many DAGs, and with values of their own."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

SENT = Path(__file__).parent.parent / "tests" / "emitted" / "sent"
RELEASE = "3.3.2"
_DAGS = re.compile(
    r"(?<![a-z0-9_])((?:ok|fail|pool|slow|broken)_dag|team__a__dotted|a_dag_with_quite_[a-z_]*_otel_limit)(?![a-z0-9_])"
)
"""The DAGs of the captures, wherever their ids stand."""
_NUMBER = re.compile(r":([0-9]+)((?:\.[0-9]+)?)\|(g|ms)")
"""What is not a count: counts come as they are, since they are 0 or 1 mostly."""
DAGS_OF_A_CAPTURE = 7


def mix(style: str, dags: int, seed: int = 1) -> list[bytes]:
    """Every line of a capture (style: plain, influxdb or datadog) for each of about `dags` DAGs, in no order, with new values."""
    chance = random.Random(seed)  # noqa: S311 (values, not secrets)
    captured = (SENT / f"{RELEASE}-{style}.txt").read_text().splitlines()
    lines = [
        _revalued(_DAGS.sub(rf"\1_{number}", line), chance).encode()
        for number in range(max(1, dags // DAGS_OF_A_CAPTURE))
        for line in captured
    ]
    chance.shuffle(lines)
    return lines


def packed(lines: list[bytes], per_packet: int) -> list[bytes]:
    """The lines in packets of so many."""
    return [b"\n".join(lines[first : first + per_packet]) for first in range(0, len(lines), per_packet)]


def crowd(series: int) -> Iterator[bytes]:
    """As many counters of DAGs as there are to be series, each once; style datadog."""
    for number in range(series):
        yield b"airflow.ti.finish:1|c|#dag_id:pipeline_%d,task_id:load,state:success" % number


def flood(names: int) -> Iterator[bytes]:
    """Names that never came before, nor come again: one in two is of a DAG, the other is of nobody."""
    for number in range(names):
        if number % 2:
            yield b"somebody.else.%d.requests:1|c" % number
        else:
            yield b"airflow.ti.finish:1|c|#dag_id:stranger_%d,task_id:load,state:success" % number


def _revalued(line: str, chance: random.Random) -> str:
    """A line with other values, of as many digits."""

    def other(found: re.Match[str]) -> str:
        whole, part, kind = found.groups()
        digits = f".{chance.randrange(10 ** (len(part) - 1)):0{len(part) - 1}d}" if part else ""
        return f":{chance.randrange(10 ** len(whole))}{digits}|{kind}"

    return _NUMBER.sub(other, line)
