"""What we say that Prometheus makes of an annotation is what promtool makes of it."""

from __future__ import annotations

import json
import math
import random
import re
import struct
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_obs.generate.go_template import expanded
from airflow_obs.generate.rule import LINKED, TYPED
from airflow_obs.generate.yaml_text import Value, text_of
from airflow_obs.oncall.runbook import is_safe
from tests.tools import tool

FUNCTIONS = ("", " | humanize", " | humanize1024", " | humanizeDuration", " | humanizePercentage")
CORNERS = (
    0.0, 0.5, 1.0, 2.5, 59.99, 59.9999, 60.0, 999.9, 999.95, 1000.0, 1023.99, 1024.0, 3599.6, 86399.99, 86400.0,
    99_999.0, 1048576.0, 5.36870912e11, 100_000.0, 123_456.0, 999_999.0, 1_000_000.0, 1_234_567.0, 21_000_000.0, 1e20,
    123_456_789_012_345_678_901.0,
    1e21, 1.5e21, 1e22, 1e23, 1e100, 1.7976931348623157e308, 5e-324, 1e-3, 1e-4, 0.00012, 1e-5,
    1.25e-7, 1e-9, 0.1, 0.2, 0.30000000000000004, 1 / 3, 2 / 3, 100.0, 12345.678, 0.9999, 0.99995, 0.999996,
)  # fmt: skip
DRAWN = 600
"""Values of each kind that are drawn."""


def values() -> Iterator[float]:
    drawn = random.Random(6)  # noqa: S311 (the seed is fixed, so that a failure comes again)
    yield from CORNERS
    yield from (-value for value in CORNERS if value)
    for _ in range(DRAWN):
        yield drawn.choice((1, -1)) * round(10 ** drawn.uniform(-6, 9), drawn.randrange(6))
        [bits] = struct.unpack("<d", drawn.randbytes(8))
        if math.isfinite(bits):
            yield bits


def text_for(value: float) -> str:
    """Every function, but for durations that overflow Go's integers."""
    return "; ".join(f"{{{{ $value{one} }}}}" for one in FUNCTIONS if "Duration" not in one or abs(value) < 2.0**63)


def judged_by_promtool(folder: Path, rules: list[Value], tests: list[Value]) -> None:
    (folder / "rules.yaml").write_text(text_of({"groups": [{"name": "g", "rules": rules}]}))
    (folder / "tests.yaml").write_text(text_of({"rule_files": ["rules.yaml"], "tests": tests}))
    done = subprocess.run(
        [tool("promtool"), "test", "rules", "tests.yaml"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[:4000] + done.stdout[:4000]


def test_promtool_prints_every_number_as_we_say(tmp_path: Path) -> None:
    numbers = dict.fromkeys(values())
    rules: list[Value] = [
        {"alert": f"A{at}", "expr": f"vector({value!r})", "annotations": {"said": text_for(value)}}
        for at, value in enumerate(numbers)
    ]
    tests: list[Value] = [
        {
            "eval_time": "0s",
            "alertname": f"A{at}",
            "exp_alerts": [{"exp_annotations": {"said": expanded(text_for(value), {}, Decimal(repr(value)))}}],
        }
        for at, value in enumerate(numbers)
    ]
    judged_by_promtool(tmp_path, rules, [{"interval": "1m", "alert_rule_test": tests}])


WORDS = (
    "default", "a b", "it's.py", "'; curl x | sh; '", "$(reboot)", "a`id`", "a&b=c#d?e", "größe", "a+b~c-d_e.f", "100%", 'say "x"',
    "back\\slash", "two\nlines", "team/data:1@host", "日本", "\x1b[2J",
)  # fmt: skip
"""What a queue, a pool or a file may be called."""


def test_promtool_sets_labels_into_commands_and_links_as_we_say(tmp_path: Path) -> None:
    said = {"command": f"'queue={TYPED.format(label='queue')}'", "link": f"?q={LINKED.format(label='queue')}&x"}
    rules: list[Value] = [{"alert": "A", "expr": "up", "annotations": said}]
    alerts: list[Value] = [
        {
            "exp_labels": {"queue": word},
            "exp_annotations": {name: expanded(text, {"queue": word}, Decimal(1)) for name, text in said.items()},
        }
        for word in WORDS
    ]
    series: list[Value] = [{"series": f"up{{queue={_quoted(word)}}}", "values": "1"} for word in WORDS]
    test: Value = {
        "interval": "1m",
        "input_series": series,
        "alert_rule_test": [{"eval_time": "0s", "alertname": "A", "exp_alerts": alerts}],
    }
    judged_by_promtool(tmp_path, rules, [test])


def _quoted(word: str) -> str:
    """As PromQL has it."""
    return json.dumps(word, ensure_ascii=False)


@pytest.mark.parametrize("word", WORDS)
def test_a_shell_sees_a_label_as_one_word_and_runs_nothing(word: str) -> None:
    typed = expanded(f"printf '%s|' 'queue={TYPED.format(label='queue')}' end", {"queue": word}, Decimal(1))
    done = subprocess.run(["sh", "-c", typed], capture_output=True, text=True, check=True)
    _, value, end = re.split(r"queue=|\|end\|", done.stdout)
    assert (end, done.stderr) == ("", "")
    assert value == word if is_safe(word) else not is_safe(value)


def test_a_duration_that_overflows_is_refused() -> None:
    with pytest.raises(ValueError, match="more than Go can turn into a duration"):
        expanded("{{ $value | humanizeDuration }}", {}, Decimal(2**63))


def test_labels_are_set_in() -> None:
    text = "{{ $labels.queue }} of {{$labels.nothing}}: {{ $value }}"
    assert expanded(text, {"queue": "a {{ b"}, Decimal("0.5")) == "a {{ b of : 0.5"


@pytest.mark.parametrize(
    "text",
    [
        '{{ reReplaceAll "\\d" "" $labels.queue }}',
        "{{ $value | printf }}",
        "{{ $labels.queue | humanize }}",
        "{{ if $value }}",
        "{{ query `up` }}",
    ],
)
def test_what_nobody_has_proven_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"template: .*not among those that are proven"):
        expanded(text, {}, Decimal(1))
