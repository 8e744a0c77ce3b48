"""Programs that pip cannot bring: without one a test skips on a laptop, and fails where CI is set."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def tool(name: str, *places: str) -> str:
    """The path of a program on PATH or at one of `places`; tests/install-tools.sh installs what is missing."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *places]))
    if found is None:
        message = f"{name} is missing: run tests/install-tools.sh as root"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return str(Path(found))
