"""Every transcript beside this file: what is written there is what the command says, to the letter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.exporter_process import airflow_obs

TRANSCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(tmp_path: Path, path: Path) -> None:
    """A transcript is `$ cat FILE` and its content, then `$ airflow-obs …`, what it prints, and `exit CODE`."""
    policy, command, said = _parts(path)
    (tmp_path / "site.yaml").write_text(policy)
    done = airflow_obs(tmp_path, *command.split())
    assert f"{done.stdout}{done.stderr}exit {done.returncode}\n" == said


def _parts(path: Path) -> list[str]:
    found = re.fullmatch(r"\$ cat site\.yaml\n(.*?)\$ airflow-obs ([^\n]*)\n(.*)", path.read_text(), re.DOTALL)
    assert found, f"{path.name} is no transcript"
    return list(found.groups())
