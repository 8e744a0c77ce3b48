"""What `airflow-obs gen` takes for a policy: time of a fresh process, import included, and its peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.figures import Figure, Note, Result

_TABLE = "gen: rules, their tests and the references"
_SOURCES: Mapping[str, Any] = {"database": {}, "health": {}, "broker": {}, "statsd": {}, "kubernetes": {}}


def measure(deployments: int, trials: int) -> Iterator[Result]:
    """One row for the default policy, and two for policies with so many deployments, all with every source."""
    policies = {
        "default policy": None,
        f"{deployments} deployments of one kind": [_deployment(number) for number in range(deployments)],
        f"{deployments} deployments, no two alike": [
            _deployment(
                number,
                alerts={"AirflowTableLarge": {"threshold": f"{number + 1}GiB"}},
            )
            for number in range(deployments)
        ],
    }
    aims = {"default policy": ("< 600", "")}
    for row, chosen in policies.items():
        with TemporaryDirectory(prefix="airflow-obs-") as folder:
            place = Path(folder)
            (place / "site.yaml").write_text(json.dumps({} if chosen is None else {"deployments": chosen}))
            # What Python makes of the modules is kept, as it is where a program is installed.
            _run(place)
            runs = [_run(place) for _ in range(trials)]
            files = [file for file in (place / "out").rglob("*") if file.is_file()]
            wall, memory = aims.get(row, ("< 2,000", "< 150"))
            yield Figure(_TABLE, row, "wall, median", median(took for took, _, _ in runs) * 1000, "ms", wall)
            yield Figure(_TABLE, row, "wall, least", min(took for took, _, _ in runs) * 1000, "ms")
            yield Figure(_TABLE, row, "processor, median", median(busy for _, busy, _ in runs) * 1000, "ms")
            yield Figure(_TABLE, row, "peak memory", max(memory for _, _, memory in runs) / 1024, "MB", memory)
            yield Figure(_TABLE, row, "files", len(files))
            yield Figure(_TABLE, row, "written", sum(file.stat().st_size for file in files) / 1e6, "MB")
    yield Note(
        _TABLE, f"{trials} runs after one, each a process of its own that finds its files missing and writes them"
    )


def _deployment(number: int, **more: object) -> dict[str, Any]:
    facts = {"executor": "CeleryExecutor", "chart": "official", "namespace": f"team-{number}", "release": "airflow"}
    return {"name": f"team-{number}", "airflow": facts, "sources": _SOURCES, **more}


def _run(place: Path) -> tuple[float, float, int]:
    """Wall time and processor time in seconds, and peak memory in kB."""
    out = place / "out"
    for file in out.rglob("*"):
        if file.is_file():
            file.unlink()
    arguments = ["gen", "--policy", str(place / "site.yaml"), "--out", str(out)]
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow_obs", *arguments],
        env={**surroundings, "PYTHONPYCACHEPREFIX": str(place / "bytecode")},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError("bench: gen failed: its errors stand above")
    return took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss
