"""Writes the snapshot into a file that node_exporter's textfile collector reads."""

from __future__ import annotations

import errno
import glob
import os
import stat
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from airflow_obs.errors import PushFailed
from airflow_obs.exporter.board import Snapshot
from airflow_obs.policy.push import TextfilePush

MODE = 0o644
"""node_exporter runs as a user of its own."""
BEGUN = ".airflow-obs"
"""What the names of files that are being written end in, and nobody else's: not in .prom, so that node_exporter reads none."""
LITTER_AFTER = 600.0
"""Seconds after which a file that was begun beside is of nobody who still writes."""

_REMEDIES = {
    errno.ENOENT: "make its folder",
    errno.ENOTDIR: "make its folder",
    errno.EACCES: "make its folder writable for this user",
    errno.EPERM: "make its folder writable for this user",
    errno.EROFS: "choose another folder, or let this service write there (systemd: ReadWritePaths=)",
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.EISDIR: "choose the path of a file",
}


class Textfile:
    """A file that is always whole: written beside, then renamed, which replaces a symbolic link and follows none.

    It is not waited for that it reaches the disk: after a crash of the machine it would be out of date anyway.
    """

    name = "textfile"

    def __init__(self, policy: TextfilePush, deployment: str) -> None:
        self.of = (policy, deployment)
        self.interval = policy.interval
        self.lost: Counter[str] = Counter()
        self._path = Path(policy.path.replace("{deployment}", deployment))
        self._begun = f".{self._path.name}."
        """What the names of the files beside begin with."""
        self._written: tuple[int, int] | None = None
        self._swept = False

    @property
    def where(self) -> str:
        return str(self._path)

    @property
    def waiting(self) -> int:
        """No snapshot waits: the next one says all that this one would."""
        return 0

    def send(self, snapshot: Snapshot, /) -> None:
        try:
            self._sweep()
            shared = self._another_writes()
            with tempfile.NamedTemporaryFile(
                dir=self._path.parent, prefix=self._begun, suffix=BEGUN, delete=False
            ) as file:
                beside = Path(file.name)
                try:
                    file.write(snapshot.of_airflow)
                    file.flush()
                    os.fchmod(file.fileno(), MODE)
                    beside.replace(self._path)
                except BaseException:
                    with suppress(OSError):
                        beside.unlink()
                    raise
                self._written = _identity(os.fstat(file.fileno()))
        except OSError as error:
            remedy = _REMEDIES.get(error.errno or 0, "see whether this user can write there")
            raise PushFailed(f"{self._path}: cannot be written: {error.strerror}; {remedy}") from None
        if shared:
            raise PushFailed(
                f"{self._path}: another writes it, too, so that it shows now these figures, now those; give each exporter a "
                "path of its own: {deployment} in it stands for the deployment's name"
            )

    def close(self) -> None:
        """Take the file away, unless another has written it since: figures that stand still look like an Airflow that is well."""
        with suppress(OSError):
            if _identity(self._path.lstat()) == self._written:
                self._path.unlink()

    def _another_writes(self) -> bool:
        """Whether there is a file in the place of the one that we wrote last."""
        with suppress(FileNotFoundError):
            return self._written is not None and _identity(self._path.lstat()) != self._written
        return False

    def _sweep(self) -> None:
        """Remove what one of this user's that was killed had begun."""
        if self._swept:
            return
        for path in self._path.parent.glob(f"{glob.escape(self._begun)}*{BEGUN}"):
            with suppress(OSError):
                found = path.lstat()
                ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
                if ours and time.time() - found.st_mtime > LITTER_AFTER:
                    path.unlink()
        self._swept = True


def _identity(file: os.stat_result) -> tuple[int, int]:
    """Tells a file from another one of the same name, even one that was given the number of one that is gone."""
    return file.st_ino, file.st_mtime_ns
