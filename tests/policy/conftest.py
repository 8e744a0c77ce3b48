"""What the policy's tests share: a policy from text, and its problems as a user reads them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest

from airflow_obs.errors import PolicyError
from airflow_obs.policy import Policy, loads

FILE = "site.yaml"


@pytest.fixture
def site() -> Callable[[str], Policy]:
    """The policy of a site whose file holds this text, dedented."""
    return lambda text: loads(textwrap.dedent(text), FILE)


@pytest.fixture
def complaints() -> Callable[[str], list[str]]:
    """Every problem of a site's file that holds this text, dedented."""

    def complaints(text: str) -> list[str]:
        with pytest.raises(PolicyError) as caught:
            loads(textwrap.dedent(text), FILE)
        return str(caught.value).splitlines()

    return complaints
