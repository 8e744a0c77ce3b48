"""Install real releases of Airflow and other programs, each in a virtual environment that later runs find again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

from tests.airflow_releases import AirflowRelease, cache_folder


class InstallError(Exception):
    """A package could not be installed; the text says which, and what the installer said."""


def installed_airflow(release: AirflowRelease, *extras: str, cache: Path | None = None) -> Path:
    """The folder of a virtual environment that holds this release with these extras (`bin/airflow` is in it).

    The first call for a release and its extras takes up to half a minute and 250 MB; a half-made one is made again.
    Raises InstallError.
    """
    name = "-".join(("airflow", release.version, *sorted(extras)))
    return installed(name, release.python, release.install_arguments(*sorted(extras)), cache)


def installed(name: str, python: str, arguments: list[str], cache: Path | None = None) -> Path:
    """The folder of a virtual environment of this name, with what `uv pip install` makes of the arguments; kept.

    `python` is a minor version. Raises InstallError.
    """
    folder = (cache or cache_folder()) / name
    finished = folder / "installed"
    if finished.exists():
        return folder
    uv = _uv()
    _run(name, [uv, "venv", "--clear", "--python", _interpreter(uv, python), str(folder)])
    _run(name, [uv, "pip", "install", "--python", str(folder / "bin" / "python"), *arguments])
    finished.touch()
    return folder


def _uv() -> str:
    beside_python = sysconfig.get_path("scripts")
    if found := shutil.which("uv", path=os.pathsep.join((beside_python, os.environ.get("PATH", os.defpath)))):
        return found
    raise InstallError("uv is not installed: run `pip install uv`")


def _interpreter(uv: str, version: str) -> str:
    """A Python of this minor version: what uv finds, else what pyenv keeps, else the version for uv to download.

    pyenv's shims refuse to run a version that is not selected, so uv does not find those by itself.
    """
    found = subprocess.run([uv, "python", "find", "--no-project", version], capture_output=True, text=True, check=False)
    if found.returncode == 0:
        return found.stdout.strip()
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    kept = sorted(pyenv.glob(f"versions/{version}.*/bin/python"))
    return str(kept[-1]) if kept else version


def _run(name: str, command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise InstallError(f"{name}: `{' '.join(command)}` failed:\n{done.stdout[-2000:]}")
