"""What several commands share: options, the address to listen on, and the log on stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airflow_obs.errors import redact

if TYPE_CHECKING:
    from airflow_obs.policy import Policy

DEFAULT_PORT = 10912


class Address(click.ParamType[str]):
    """HOST:PORT, :PORT, [IPV6]:PORT or unix:PATH; port 0 lets the kernel choose."""

    name = "address"

    def convert(self, value: str, *_: object) -> str:
        from airflow_obs.policy import addresses

        if value.startswith(addresses.UNIX):
            if value.removeprefix(addresses.UNIX).startswith("/"):
                return value
            self.fail(f"{value!r}: write the whole path of the socket, like unix:/run/airflow-obs/metrics.sock")
        try:
            addresses.parse(value)
        except ValueError:
            self.fail(
                f"{value!r} is not HOST:PORT; write it like :{DEFAULT_PORT}, 127.0.0.1:{DEFAULT_PORT} or [::1]:{DEFAULT_PORT}, "
                "or like unix:/run/airflow-obs/metrics.sock"
            )
        return value


CHECK_HELP = "Write nothing: print what would change, and exit with 1 if anything would."


def write_or_check(
    tree: Mapping[str, str], out: Path, folders: Sequence[str], policy: Path | None, *, check: bool
) -> int:
    """Write the files below `out` and print what changed, or print the difference; returns the exit code.

    `folders` are those, below `out`, in which nothing of this policy may be that is not in `tree`.
    """
    from airflow_obs.generate.tree import differences, name_of, write

    name = name_of(policy)
    if check:
        changes = differences(tree, out, folders, name)
        click.echo(changes, nl=False)
        return 1 if changes else 0
    changed = write(tree, out, folders, name)
    for path in changed.written:
        click.echo(path)
    for path in changed.removed:
        click.echo(f"removed {path}")
    return 0


def note_of_silence(policy: Path | None) -> None:
    """Say on stderr that a policy's file says nothing, as one does that a template has not filled."""
    from airflow_obs.policy.loader import read

    if policy is None:
        return
    lines = (line.strip() for line in read(policy, "policy").splitlines())
    if all(not line or line.startswith("#") or line == "---" for line in lines):
        click.echo(f"airflow-obs: {policy}: says nothing, so that the default policy alone is in force", err=True)


def notes_on_routes(chosen: Policy, policy: Path | None) -> None:
    """Say on stderr of what nobody is told, and other things about the routes of a site's policy that it may not know.

    Raises PolicyError where the receivers do not fit what is written.
    """
    from airflow_obs.generate.alertmanager.notes import notes

    for note in notes(chosen, policy) if policy else ():
        click.echo(f"airflow-obs: {policy}: {note}", err=True)


def pairs(texts: Iterable[str]) -> dict[str, str]:
    """Some NAME=VALUE; raises BadParameter, also where a name is given twice."""
    found: dict[str, str] = {}
    for name, value in map(pair, texts):
        if name in found:
            raise click.BadParameter(f"{name} is given twice: give it once", param_hint="--label")
        found[name] = value
    return found


def pair(text: str) -> tuple[str, str]:
    """NAME=VALUE in its two parts; raises BadParameter."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE; write it like queue=default", param_hint="--label")
    return name, value


class _Redacting(logging.Formatter):
    """Keeps passwords out of every line, tracebacks of libraries included."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


policy_file = click.option(
    "--policy",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Policy file of the site, merged over the defaults. Without it the defaults stand.",
)
log_level = click.option(
    "--log.level", "log_level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True,
    help="Least severity that is logged (to stderr).",
)  # fmt: skip


def log_to_stderr(level: str) -> None:
    """Log what is of this severity or above, without passwords."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # Libraries say at INFO what only their developers want to know.
    for library in ("tornado", "urllib3", "asyncio", "sqlalchemy"):
        logging.getLogger(library).setLevel(max(logging.WARNING, logging.getLogger().level))
    # Warned of are clients, who could fill the log: what they are refused for is counted.
    logging.getLogger("tornado.general").setLevel(logging.ERROR)
