"""What all mappings of the policy have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Unknown keys are errors, and nothing changes after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    elsewhere: ClassVar[Mapping[str, str]] = {}
    """Keys that people expect in this mapping but that live elsewhere, and where."""
