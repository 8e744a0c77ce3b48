"""Reads single options of Airflow's: from its environment, its airflow.cfg, and files with secrets."""

from __future__ import annotations

import configparser
import logging
import re
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from airflow_obs.errors import SourceNotConfigured, meant

log = logging.getLogger(__name__)

Environment = Mapping[str, str]

_COMPANIONS = ("PORT", "USER", "PASSWORD", "PASSWORD_FILE", "NAME", "SCHEME")
"""Parts of our own settings that go with a host, whatever the source."""
_saying = threading.Lock()
_SERVICE_LINK = re.compile(r"_(SERVICE_(HOST|PORT)|PORT_\d+_)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


def airflow_option(environment: Environment, section: str, option: str) -> str | None:
    """An Airflow option, from AIRFLOW__SECTION__OPTION or airflow.cfg; None if neither has it, or the file is broken."""
    if value := environment.get(f"AIRFLOW__{section.upper()}__{option.upper()}"):
        return expanded(environment, value)
    try:
        return cfg_option(environment, section, option)
    except SourceNotConfigured as error:
        say_once(logging.WARNING, f"{error}; going on without it")
        return None


def our_host(environment: Environment, prefix: str, more: Sequence[str] = ()) -> str | None:
    """`prefix`_HOST of our own settings; raises SourceNotConfigured when only companions of it are set, which would be ignored.

    `more` are companions that not every source has.
    """
    if host := environment.get(f"{prefix}_HOST", "").strip():
        return host
    if lone := [f"{prefix}_{part}" for part in (*_COMPANIONS, *more) if environment.get(f"{prefix}_{part}")]:
        raise SourceNotConfigured(f"{lone[0]} is set, but {prefix}_HOST is not: set both, or none")
    return None


def check_ours(environment: Environment, prefix: str, more: Sequence[str] = ()) -> None:
    """Raises SourceNotConfigured for settings `prefix`_… that would be ignored: misspelt ones, and companions beside a URL.

    `more` as for our_host.
    """
    urls, companions = ("URL_FILE", "URL"), (*_COMPANIONS, *more)
    known = [f"{prefix}_{part}" for part in (*urls, "HOST", *companions)]
    ours = [name for name, value in environment.items() if name.startswith(f"{prefix}_") and value]
    # Kubernetes tells every pod of a Service by such names, and one may begin with ours.
    ours = [name for name in ours if not _SERVICE_LINK.search(name)]
    if unknown := sorted(set(ours) - set(known)):
        near = meant(unknown[0], known)
        all_of_them = ", ".join(name.removeprefix(prefix) for name in known)
        raise SourceNotConfigured(
            f"there is no setting {unknown[0]}{f': did you mean {near}?' if near else ''} (there are {prefix}… {all_of_them})"
        )
    url = next((f"{prefix}_{part}" for part in urls if f"{prefix}_{part}" in ours), None)
    if url and (beside := [name for part in ("HOST", *companions) if (name := f"{prefix}_{part}") in ours]):
        raise SourceNotConfigured(
            f"{', '.join(beside)} would be ignored, since {url} is set: put into the URL what they say and unset them, or unset "
            f"{url} and set {prefix}_HOST"
        )


def airflow_cfg(environment: Environment) -> Path:
    """Where airflow.cfg is, or would be."""
    home = Path(environment.get("AIRFLOW_HOME") or Path(environment.get("HOME") or ".") / "airflow")
    return Path(environment.get("AIRFLOW_CONFIG") or home / "airflow.cfg").expanduser()


def cfg_option(environment: Environment, section: str, option: str) -> str | None:
    """An option of airflow.cfg; raises SourceNotConfigured, which quotes nothing of the file, when it cannot be read."""
    cfg = _read_cfg(environment)
    try:
        value = cfg.get(section, option, fallback=None) if cfg else None
    except configparser.InterpolationError:
        raise SourceNotConfigured(
            f"{airflow_cfg(environment)}: [{section}] {option}: a % must be written %% there"
        ) from None
    return expanded(environment, value) if value else None


def section_options(environment: Environment, section: str) -> dict[str, str]:
    """Every option of a section, from airflow.cfg and over it AIRFLOW__SECTION__…; names in small letters."""
    cfg = _read_cfg(environment)
    names = set(cfg.options(section)) if cfg and cfg.has_section(section) else set()
    in_file = {name: value for name in names if (value := cfg_option(environment, section, name))}
    prefix = f"AIRFLOW__{section.upper()}__"
    in_environment = {
        name[len(prefix) :].lower(): expanded(environment, value)
        for name, value in environment.items()
        if name.upper().startswith(prefix) and value
    }
    return in_file | in_environment


def expanded(environment: Environment, value: str) -> str:
    """`value` with $NAME and ${NAME} replaced as Airflow does it (airflow.configuration.expand_env_var); unknown ones stay."""
    for _ in range(10):  # Airflow goes on until nothing changes, for ever if a variable names itself
        before, value = value, _VARIABLE.sub(lambda found: environment.get(found[1] or found[2], found[0]), value)
        if value == before:
            break
    return value


def read_secret(setting: str, path: str) -> str:
    """The text of a file that `setting` names, stripped; raises SourceNotConfigured when it cannot be read or is empty."""
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise SourceNotConfigured(f"{setting}: {path}: {reason}; the exporter must be able to read this file") from None
    if not text:
        raise SourceNotConfigured(f"{setting}: {path} is empty")
    return text


def check_readable(setting: str, path: str) -> None:
    """Raises SourceNotConfigured when the file that `setting` names cannot be read."""
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise SourceNotConfigured(
            f"{setting}: {path}: {error.strerror}; the exporter must be able to read this file"
        ) from None


def say_once(level: int, text: str) -> None:
    """Log it the first time that it is said: settings are read anew all the time, and by several threads."""
    with _saying:
        _say(level, text)


def _read_cfg(environment: Environment) -> configparser.ConfigParser | None:
    path = airflow_cfg(environment)
    try:
        changed = path.stat()
        return _parsed(path, changed.st_mtime_ns, changed.st_size)
    except FileNotFoundError:
        return None
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        # The error of a parser quotes the line it fell over, which may be the one with the password.
        raise SourceNotConfigured(f"{path}: cannot be read as an airflow.cfg ({type(error).__name__})") from None


@lru_cache(maxsize=1)
def _parsed(path: Path, _changed: int, _size: int) -> configparser.ConfigParser:
    """A generated airflow.cfg has hundreds of options and takes 20 ms to parse, so it is parsed once until it changes."""
    parser = configparser.ConfigParser(strict=False)
    with path.open(encoding="utf-8") as lines:
        parser.read_file(lines)
    return parser


@lru_cache(maxsize=16)
def _say(level: int, text: str) -> None:
    log.log(level, "%s", text)
