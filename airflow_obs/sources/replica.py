"""The replica that a policy names, in the place of the server that the database's URL leads to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy.engine import URL

from airflow_obs.errors import SourceNotConfigured
from airflow_obs.policy import addresses
from airflow_obs.sources.discovery import Found

_OF_THE_PLACE = ("host", "hostaddr", "port", "unix_socket", "target_session_attrs", "load_balance_hosts")
"""Options by which a URL says where the server is, or which of several it means: one that takes writes, for instance."""
_NO_OTHER_PLACE = {"postgresql": {"hostaddr": "", "target_session_attrs": "any"}}
"""What keeps a driver from asking its environment, PGHOSTADDR for instance, where the URL no longer says it."""


def at_replica(found: Found, replica: str | None) -> Found:
    """The same user, password, database and TLS options at `replica`, HOST or HOST:PORT; None leaves it as it is.

    Without a port it is the URL's. Raises SourceNotConfigured for a database that has no replicas, and where a URL of several
    hosts has several ports.
    """
    if replica is None:
        return found
    kind = found.url.get_backend_name()
    if kind == "sqlite":
        raise SourceNotConfigured(
            f"database: the policy names a replica, and {found.setting} leads to a SQLite file, which has none: remove "
            "`replica` under `sources: {database: …}`, or give us the URL of the server"
        )
    host, port = addresses.server(replica)
    query = {name: value for name, value in found.url.query.items() if name not in _OF_THE_PLACE}
    url = found.url.set(host=host, port=port or _port(found), query=query)
    arguments = {**_NO_OTHER_PLACE.get(kind, {}), **found.connect_args}
    return replace(found, url=url, setting=f"{found.setting}, at the policy's replica", connect_args=arguments)


def _port(found: Found) -> int | None:
    """The port that all its hosts have; None is the driver's default."""
    ports = set(_ports(found.url))
    if len(ports) > 1:
        raise SourceNotConfigured(
            f"database: the hosts of {found.setting} have different ports, so that the replica's is not known: write it in the "
            "policy, as HOST:PORT"
        )
    port = ports.pop() if ports else ""
    return int(port) if port.isdecimal() else None


def _ports(url: URL) -> Iterator[str]:
    """One for each host that has its own, as SQLAlchemy reads ?host=…:1&host=…:2, and libpq ?host=…,…&port=1,2; "" is none."""
    if url.port:
        yield str(url.port)
    elif said := url.normalized_query.get("port"):
        yield from (port for ports in said for port in ports.split(","))
    else:
        hosts = [host for hosts in url.normalized_query.get("host", ()) for host in hosts.split(",")]
        yield from (host.rpartition(":")[2] if ":" in host else "" for host in hosts)
