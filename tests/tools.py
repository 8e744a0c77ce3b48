"""What pip cannot bring: without it a test skips on a laptop, and fails where CI is set."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def tool(name: str, *places: str) -> str:
    """The path of a program on PATH or at one of `places`; tests/install-tools.sh installs what is missing."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *places]))
    if found is None:
        lacking(f"{name} is missing: run tests/install-tools.sh as root")
    return str(Path(found))


def lacking(what: str) -> NoReturn:
    """The test cannot run here for want of `what`: a skip on a laptop, a failure where CI is set."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)
