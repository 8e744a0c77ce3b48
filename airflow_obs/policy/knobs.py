"""The kinds of value a knob takes; each checks what was written, words the complaint and tells editors what fits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, ValidationError, core_schema

from airflow_obs.errors import meant
from airflow_obs.policy import addresses, durations

_ONE_OF = re.compile(r"\[!?+(\]?+[^\]]*)\]")
"""`[ab]` in a glob, and what stands inside; a `]` that comes first closes nothing."""


@dataclass(frozen=True)
class FromFile:
    """Validation context of values read from one file; made in Python, a duration may be a number of seconds."""

    names: dict[str, str] = field(default_factory=dict)
    """The deployments read so far, by their names without regard to case."""


def refused(text: str, *at: tuple[str | int, ...]) -> PydanticCustomError:
    """The error that a validator raises: `text` reaches the user as it is, and must not quote the value.

    `at` names where else the blame may lie, as paths from the parent of the value: the first that the site wrote is it.
    """
    return PydanticCustomError("refused", text, {"at": at} if at else None)


def all_refused(wrong: Iterable[tuple[tuple[str | int, ...], str]]) -> ValidationError:
    """Several such errors at once, each at a path below the value that the validator looks at."""
    return ValidationError.from_exception_data(
        "policy", [InitErrorDetails(type=refused(text), loc=path, input=None) for path, text in wrong]
    )


@dataclass(frozen=True)
class Duration:
    """Metadata of a float in seconds, written as a duration from `low` to `high`; or `auto`, where that is allowed."""

    low: str
    high: str
    auto: bool = False

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        pattern = f"(?:auto|{durations.PATTERN})" if self.auto else durations.PATTERN
        return {"type": "string", "pattern": f"^{pattern}$", "bounds": [self.low, self.high]}

    def _check(self, value: object, info: ValidationInfo) -> float | str:
        if self.auto and value == "auto":
            return "auto"
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise refused(
                f"write {'auto or ' if self.auto else ''}a duration from {self.low} to {self.high}, such as 30s"
            )
        if isinstance(value, str):
            try:
                value = durations.parse(value)
            except ValueError as error:
                raise refused(str(error)) from None
        elif isinstance(info.context, FromFile):
            raise refused("a number without a unit: write a duration, such as 30s, 5m or 1h30m")
        if not durations.parse(self.low) <= value <= durations.parse(self.high):
            raise refused(f"out of bounds: must be from {self.low} to {self.high}")
        return float(value)


@dataclass(frozen=True)
class Count:
    """Metadata of a whole number from `low` to `high`."""

    low: int
    high: int

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def _check(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise refused(f"write a whole number from {self.low} to {self.high}")
        if not self.low <= value <= self.high:
            raise refused(f"out of bounds: must be from {self.low} to {self.high}")
        return value


@dataclass(frozen=True)
class Flag:
    """Metadata of a switch, on or off."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "boolean"}

    def _check(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise refused("write true or false")
        return value


@dataclass(frozen=True)
class Text:
    """Metadata of a text that is one of `words` or matches `pattern` as a whole; `what` says so in words.

    A misspelt value is compared with `words`. An empty pattern matches nothing.
    """

    pattern: str
    what: str
    words: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        if not self.pattern:
            return {"type": "string", "enum": list(self.words)}
        return {"type": "string", "pattern": f"^(?:{self._whole()})$"}

    def _whole(self) -> str:
        return "|".join([*self.words, *([self.pattern] if self.pattern else [])])

    def _check(self, value: object) -> str:
        if isinstance(value, bool | int | float):
            kind = "true or false" if isinstance(value, bool) else "a number"
            raise refused(f"YAML reads this as {kind}: put it in quotes; must be {self.what}")
        if not isinstance(value, str) or not re.fullmatch(self._whole(), value):
            near = meant(value, self.words) if isinstance(value, str) else None
            raise refused(f"must be {self.what}" + (f"; did you mean {near}?" if near else ""))
        return value


@dataclass(frozen=True)
class Address:
    """Metadata of a text that is HOST:PORT; to `listen` the host may be left out."""

    listen: bool = False

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{addresses.PATTERN}$"}

    def _check(self, value: object) -> str:
        example = ":9125, 127.0.0.1:9125 or [::1]:9125" if self.listen else "statsd.monitoring:8125"
        if not isinstance(value, str):
            raise refused(f"must be HOST:PORT in quotes, such as {example}")
        try:
            host, port = addresses.parse(value)
        except ValueError:
            raise refused(f"must be HOST:PORT, such as {example}") from None
        if not self.listen and not (host and port):
            raise refused(f"must be a host and a port above 0, such as {example}")
        return value


@dataclass(frozen=True)
class Server:
    """Metadata of a text that is HOST or HOST:PORT of a server to connect to; `what` says so in words."""

    what: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{addresses.SERVER}$"}

    def _check(self, value: object) -> str:
        if not isinstance(value, str):
            raise refused(f"must be {self.what}")
        if value.count(":") > 1 and re.fullmatch("[0-9A-Fa-f:.]+", value):
            raise refused("an IPv6 address stands in brackets, also without a port: write it like [fd00::2]:5432")
        try:
            addresses.server(value)
        except ValueError:
            raise refused(f"must be {self.what}") from None
        return value


@dataclass(frozen=True)
class Glob:
    """Metadata of a text that is a shell pattern over DAG ids: `*` any text, `?` any character, `[ab]` one of these."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^[^\s^$|()\\+{},]{1,250}$"}

    def _check(self, value: object) -> str:
        if not isinstance(value, str):
            raise refused('write a pattern of DAG ids, in quotes, such as "payments.*"')
        if not 1 <= len(value) <= 250:
            raise refused("a pattern of DAG ids has 1 to 250 characters")
        if re.search(r"[\^$|()\\+{}]", value):
            text = "a pattern of DAG ids is a glob, not a regular expression: `*` stands for any text, `?` for any character"
            raise refused(f"{text}, `[ab]` for one of these")
        if re.search(r"[\s,]", value):
            raise refused("no DAG id holds a space or a comma: make each pattern an item of its own")
        if "[" in re.sub(_ONE_OF, "", value):
            raise refused("`[` without `]`, or with nothing between them: write it as in `team_[ab].*`")
        if any(low > high for inside in re.findall(_ONE_OF, value) for low, high in re.findall("(.)-(.)", inside)):
            text = (
                "a range between `[` and `]` runs backwards, so that it holds nothing: begin with the lesser character"
            )
            raise refused(f"{text}, as in `[a-z]`")
        return value


@dataclass(frozen=True)
class HttpUrl:
    """Metadata of a text that is the URL of an HTTP server without anything secret in it; or `word`, unless that is None."""

    word: str | None = "auto"
    example: str = "http://airflow-webserver:8080"

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": rf"^(?:{self._word()}https?://[^@?#\s]+)$"}

    def _word(self) -> str:
        return f"{self.word}|" if self.word else ""

    def _check(self, value: object) -> str:
        wrong = refused(f"must be {self.word or 'null'} or a URL, such as {self.example}")
        if isinstance(value, str) and re.fullmatch(addresses.PATTERN, value):
            raise refused("a URL begins with http:// or https://: write one of these before it")
        if not isinstance(value, str) or not re.fullmatch(rf"{self._word()}https?://[!-~]+", value):
            raise wrong
        if re.search(r"[@?#]", value):
            raise refused("secrets never live in the policy: write the URL without user, password, ? and #")
        try:
            address = urlsplit(value)
            reachable = value == self.word or (address.hostname and address.port != 0)
        except ValueError:
            reachable = False
        if not reachable:
            raise wrong
        return value
