"""Flags that stand for a part of the policy: statsd_exporter's, whose place we can take, and the textfile's."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pydantic import ValidationError

from airflow_obs.errors import SourceNotConfigured, UsageError
from airflow_obs.policy import Deployment, Policy, Sources, addresses
from airflow_obs.policy.ingest import StatsdSource
from airflow_obs.policy.push import Push, TextfilePush
from airflow_obs.sources import discovery

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StatsdFlags:
    """Where StatsD comes in and the mapping file, as flags say it: None for one not given, "" for no listener."""

    listen_udp: str | None = None
    listen_tcp: str | None = None
    mapping_config: str | None = None

    def __bool__(self) -> bool:
        return any(value is not None for value in (self.listen_udp, self.listen_tcp, self.mapping_config))


def with_flags(deployment: Deployment, flags: StatsdFlags) -> Deployment:
    """The deployment with what the flags say in place of what its policy says of StatsD.

    Where the policy lists no sources and no setting names a database, StatsD is all there is. Raises UsageError.
    """
    if not flags:
        return deployment
    statsd = deployment.sources.statsd or StatsdSource()
    udp = _chosen("--statsd.listen-udp", flags.listen_udp, statsd.listen_udp)
    tcp = _chosen("--statsd.listen-tcp", flags.listen_tcp, statsd.listen_tcp)
    if udp is None and tcp is None:
        raise UsageError("--statsd.listen-udp, --statsd.listen-tcp: both are empty, so that StatsD can come in nowhere")
    try:
        # A copy would not be held to what the policy refuses.
        statsd = StatsdSource.model_validate(dict(statsd) | {"listen_udp": udp, "listen_tcp": tcp})
    except ValidationError as error:
        raise UsageError(f"--statsd.listen-udp: {error.errors()[0]['msg']}") from None
    if flags.mapping_config is not None:
        # Any file will do, as for statsd_exporter; the policy wants to see a dot or a slash.
        statsd = statsd.model_copy(update={"mapping": flags.mapping_config or None})
    sources = deployment.sources.model_copy(update={"statsd": statsd})
    if "sources" not in deployment.model_fields_set and not _database_is_configured():
        log.info("no database is configured, so that StatsD is all that is taken")
        sources = Sources(statsd=statsd)
    return deployment.model_copy(update={"sources": sources})


def with_textfile(policy: Policy, path: str, *, alone: bool) -> Policy:
    """The policy that writes this file, too; `alone`: and pushes nowhere else. Raises UsageError."""
    before = policy.push.textfile or TextfilePush()
    try:
        textfile = TextfilePush.model_validate(dict(before) | {"path": path})
    except ValidationError as error:
        raise UsageError(f"--textfile: {error.errors()[0]['msg']}") from None
    push = Push(textfile=textfile) if alone else policy.push.model_copy(update={"textfile": textfile})
    return policy.model_copy(update={"push": push})


def _chosen(flag: str, given: str | None, otherwise: str | None) -> str | None:
    if given is None:
        return otherwise
    if not given:
        return None
    try:
        addresses.parse(given)
    except ValueError:
        raise UsageError(
            f"{flag}: {given!r} is not HOST:PORT; write it like :9125, or leave it empty to not listen"
        ) from None
    return given


def _database_is_configured() -> bool:
    try:
        discovery.database_url()
    except SourceNotConfigured:
        return False
    return True
