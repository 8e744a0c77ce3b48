"""The commands of ours that runbooks name are such as there are: words, options and all."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from airflow_obs.cli import cli
from tests.airflow_schemas import ROOT

RUNBOOKS = sorted((ROOT / "airflow_obs" / "oncall" / "runbooks").glob("*.md"))
OURS = re.compile(rf"(?:^|[`( ]|-- )airflow-obs ((?:{'|'.join(sorted(cli.commands))})\b[^`|>#\n]*)", re.MULTILINE)


def commands() -> Iterator[tuple[str, str]]:
    for runbook in RUNBOOKS:
        for found in OURS.finditer(runbook.read_text()):
            yield runbook.stem, found[1].strip()


COMMANDS = sorted(set(commands()))


def test_there_are_some() -> None:
    assert len(COMMANDS) > 5


@pytest.mark.parametrize(("runbook", "text"), COMMANDS, ids=[f"{runbook}: {text}" for runbook, text in COMMANDS])
def test_command_is_one(runbook: str, text: str) -> None:
    command: click.Command = cli
    words = shlex.split(text)
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    with click.Context(command) as context:
        assert not command.make_parser(context).parse_args(words)[1], f"{runbook}: words that nobody takes"
