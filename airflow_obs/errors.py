"""The errors a user may see; every message says where, what, and what to do.

AirflowObsError
├── PolicyError          the policy, or a file of rules, cannot be used (exit 2; all its problems at once)
├── UsageError           a flag or setting cannot be used (exit 2)
├── PushFailed           a destination did not take what was sent
└── SourceError          something outside did not answer as it should
    ├── SourceUnreachable    no answer at all: the other collectors of that source need not try
    ├── SourceConflict       what it is busy with ended our reading: it may be read again at once
    ├── SourceLacks          it has no such table or column: costs what is made of it
    └── SourceNotConfigured  nobody said where it is
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_USERINFO = re.compile(r"(?<=://)([^:/@\s]*):(?!<password>@)[^\s]*@")
# "using password: YES" is what MySQL says.
_PASSWORD_SETTING = re.compile(r"(?i)((?<!using )\bpassword['\"]?\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s,;&]+)")


def redact(text: str, *secrets: str | None) -> str:
    """`text` without the passwords of URLs and settings in it, and without any of `secrets`.

    Secrets are looked for as whole words: blanking a short one inside of words would spoil the text, and thereby show it.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
    return _PASSWORD_SETTING.sub(r"\1***", _USERINFO.sub(r"\1:***@", text))


def meant(word: str, among: Iterable[str]) -> str | None:
    """The one of these words that whoever wrote `word` may have meant, in whatever case; None if it is like none.

    What all of them begin with makes no two alike.
    """
    import difflib  # only where something is wrong

    choices = {one.casefold(): one for one in among}
    first, last = min(choices, default=""), max(choices, default="")
    shared = first[: next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), 0)]
    rests = {one.removeprefix(shared): choice for one, choice in choices.items()}
    near = difflib.get_close_matches(word.casefold().removeprefix(shared), rests, 1)
    return rests[near[0]] if near else None


class AirflowObsError(Exception):
    """Base of every error this program raises on purpose; its text is fit to be shown to a user."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with a file: where (1-based line and column) and what, with the remedy in the text."""

    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.text}"


class PolicyError(AirflowObsError):
    """A file that a site wrote cannot be used; `problems` lists everything wrong with it, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))


class UsageError(AirflowObsError):
    """A flag, or a setting in the environment, cannot be used."""


class PushFailed(AirflowObsError):
    """A destination did not take what was sent to it."""


class SourceError(AirflowObsError):
    """A source answered, but not with what a collector needs (missing table, missing privilege, timeout, …)."""


class SourceUnreachable(SourceError):
    """A source gave no answer at all (refused, frozen, unknown host, wrong password)."""


class SourceConflict(SourceError):
    """A standby ended our reading, since what it had to replay stood against it: to be read again at once."""


class SourceLacks(SourceError):
    """The metadata database has no such table or column."""


class SourceNotConfigured(SourceError):
    """No setting says where the source is."""
