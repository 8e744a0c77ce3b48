"""The commands that the README tells a reader to run, word for word."""

from __future__ import annotations

import re
import shlex

from tests.airflow_schemas import ROOT


def commands(program: str) -> list[list[str]]:
    """Every command of the README's code blocks that begins with these words, split as a shell splits it."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith(program + " ")]


def acl_lines() -> list[list[str]]:
    """`ACL SETUSER …`, which Redis reads, and no shell."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return [line.split() for line in "".join(blocks).splitlines() if line.startswith("ACL SETUSER ")]
