"""Certificates of an authority of our own, for tests of TLS."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.tools import tool


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as paths of PEM files; the key is for its owner's eyes alone, as libpq will have it."""

    pem: Path
    key: Path

    def replace_by(self, other: Certificate) -> None:
        """Put another in its place, as cert-manager does."""
        for old, new in ((self.pem, other.pem), (self.key, other.key)):
            renewed = old.with_suffix(".new")
            renewed.write_bytes(new.read_bytes())
            renewed.chmod(old.stat().st_mode & 0o777)
            renewed.replace(old)


@dataclass(frozen=True)
class Authority:
    """Who signs certificates: `ca.pem` is what must be trusted for them."""

    folder: Path

    @classmethod
    def founded(cls, folder: Path) -> Authority:
        """A new one, in a folder of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        authority = cls(folder)
        authority._openssl(f"req -x509 {_KEY} -keyout ca.key -out ca.pem -subj /CN={folder.name} -days 2")
        return authority

    @property
    def ca(self) -> Path:
        """Its own certificate."""
        return self.folder / "ca.pem"

    def issue(
        self, name: str, host: str = "localhost", days: int = 2, names: str | None = None, key: str | None = None
    ) -> Certificate:
        """A certificate for `host`, or for `names` as openssl writes them; with less than no days it has expired.

        `key` is of another kind than usual: "rsa:1024".
        """
        (self.folder / "names").write_text(f"subjectAltName={names or f'DNS:{host}'}\n")
        kind = f"-newkey {key} -nodes" if key else _KEY
        self._openssl(f"req {kind} -keyout {name}.key -out {name}.csr -subj /CN={host}")
        self._openssl(
            f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days {days} -extfile names"
        )
        return Certificate(self.folder / f"{name}.pem", self.folder / f"{name}.key")

    def encrypt(self, name: str, password: str) -> Path:
        """The key of that certificate again, behind a password."""
        self._openssl(f"ec -in {name}.key -out {name}.encrypted.key -aes256 -passout pass:{password}")
        return self.folder / f"{name}.encrypted.key"

    def _openssl(self, arguments: str) -> None:
        subprocess.run([tool("openssl"), *arguments.split()], cwd=self.folder, check=True, capture_output=True)


_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
