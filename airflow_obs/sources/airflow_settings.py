"""Reads single options of Airflow's: from its environment, its airflow.cfg, and files with secrets."""

from __future__ import annotations

import configparser
import logging
import re
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from airflow_obs.errors import SourceNotConfigured

log = logging.getLogger(__name__)

Environment = Mapping[str, str]

_saying = threading.Lock()
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


def our_host(environment: Environment, prefix: str) -> str | None:
    """`prefix`_HOST of our own settings; raises SourceNotConfigured when only companions of it are set, which would be ignored."""
    if host := environment.get(f"{prefix}_HOST", "").strip():
        return host
    companions = ("PORT", "USER", "PASSWORD", "PASSWORD_FILE", "NAME", "SCHEME")
    if lone := [f"{prefix}_{part}" for part in companions if environment.get(f"{prefix}_{part}")]:
        raise SourceNotConfigured(f"{lone[0]} is set, but {prefix}_HOST is not: set both, or none")
    return None


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
