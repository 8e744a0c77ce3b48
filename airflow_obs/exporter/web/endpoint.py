"""How the exporter is reached, as flags say it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Endpoint:
    """Where it listens and who gets in.

    `addresses` are HOST:PORT, :PORT, [IPV6]:PORT or unix:PATH; with `systemd_socket` those that systemd opened instead.
    `config_file` is of the format of Prometheus' exporter-toolkit. `lifecycle`: /-/reload is there. Without `show_versions` no
    answer names a version of the exporter or of its Python; those of Airflow and its servers are figures.
    """

    addresses: tuple[str, ...]
    config_file: Path | None = None
    systemd_socket: bool = False
    lifecycle: bool = False
    show_versions: bool = True
