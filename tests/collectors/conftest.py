"""Moments for the rows of a test."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

Ago = Callable[..., datetime]


@pytest.fixture
def ago() -> Ago:
    """ago(minutes=5) is five minutes before this test began, each time it is asked."""
    began = datetime.now(UTC)
    return lambda **since: began - timedelta(**since)
