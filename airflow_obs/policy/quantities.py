"""Ratios, bytes and plain numbers as people write them (`80%`, `50GiB`, `0.5`), read into exact decimals."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from airflow_obs.policy.knobs import refused

_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_DECIMAL = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
RATIO = rf"{_DECIMAL}%"
"""A regular expression (Python and ECMA 262) for a whole ratio."""
BYTES = rf"{_DECIMAL}(?:{'|'.join(_UNITS)})"
"""Likewise for a number of bytes."""


def ratio(text: str) -> Decimal:
    """The ratio, of 1, that a percentage says; raises ValueError when it is none."""
    if not re.fullmatch(RATIO, text, re.ASCII):
        raise ValueError("not a ratio: write a percentage, such as 80% or 99.5%")
    return Decimal(text.removesuffix("%")) / 100


def bytes_(text: str) -> Decimal:
    """The bytes that `text` says; raises ValueError when it is no number of bytes."""
    if not (match := re.fullmatch(rf"({_DECIMAL})({'|'.join(_UNITS)})", text, re.ASCII)):
        units = ", ".join(_UNITS)
        raise ValueError(f"not a number of bytes: write a number and one of {units} (1 KiB is 1024 B), such as 50GiB")
    return Decimal(match[1]) * _UNITS[match[2]]


def number(written: float) -> Decimal:
    """The decimal that was written as this number; raises ValueError for infinity and NaN."""
    if not math.isfinite(written):
        raise ValueError("not a finite number")
    return Decimal(repr(written))


def text_of_ratio(value: Decimal) -> str:
    """The percentage that says `value`."""
    return f"{(value * 100).normalize():f}%"


@dataclass(frozen=True)
class Ratio:
    """Metadata of a decimal, a ratio of 1, written as a percentage from `low` to `high`."""

    low: str
    high: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{RATIO}$", "bounds": [self.low, self.high]}

    def check(self, value: object) -> Decimal:
        """The ratio that was written; a Decimal made in Python is one already."""
        if isinstance(value, int | float):
            raise refused("a ratio is written as a percentage, such as 80%")
        return _read(value, ratio, self.low, self.high)


@dataclass(frozen=True)
class Bytes:
    """Metadata of a decimal, a number of bytes written with its unit from `low` to `high`."""

    low: str
    high: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{BYTES}$", "bounds": [self.low, self.high]}

    def check(self, value: object) -> Decimal:
        """The bytes that were written; a Decimal made in Python is that already."""
        if isinstance(value, int | float):
            raise refused("a number without a unit: write a number of bytes, such as 512MiB or 50GiB")
        return _read(value, bytes_, self.low, self.high)


@dataclass(frozen=True)
class Number:
    """Metadata of a decimal, written as a number from `low` to `high`."""

    low: float
    high: float

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "number", "minimum": self.low, "maximum": self.high}

    def check(self, value: object) -> Decimal:
        """The number that was written; a Decimal made in Python is one already."""
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise refused(f"write a number from {self.low} to {self.high}, without a unit")
        if not isinstance(value, Decimal) and not math.isfinite(value):
            raise refused(f"write a number from {self.low} to {self.high}")
        read = value if isinstance(value, Decimal) else number(value)
        if not number(self.low) <= read <= number(self.high):
            raise refused(f"out of bounds: must be from {self.low} to {self.high}")
        return read


def _read(value: object, parse: Any, low: str, high: str) -> Decimal:
    if isinstance(value, Decimal):
        read = value
    else:
        try:
            read = parse(value if isinstance(value, str) else "")
        except ValueError as error:
            raise refused(str(error)) from None
    if not parse(low) <= read <= parse(high):
        raise refused(f"out of bounds: must be from {low} to {high}")
    return read
