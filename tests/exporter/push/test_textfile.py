"""The textfile: always whole, read by a real node_exporter, gone when the exporter is, and what is said when it cannot be."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.errors import PushFailed
from airflow_obs.exporter.push.textfile import BEGUN, LITTER_AFTER, Textfile
from airflow_obs.policy.push import TextfilePush
from tests.exporter.pages import Page
from tests.exporter.push.node_exporter import node_exporter
from tests.exporter.push.sending import Scene, Series
from tests.exporter.push.test_statsd import FEEDING, everything
from tests.tools import tool


def textfile(path: Path, deployment: str = "prod") -> Textfile:
    return Textfile(TextfilePush(path=str(path)), deployment)


def series(page: Page) -> dict[Series, str]:
    """Its values, in which one NaN is like another; node_exporter writes bounds as Go does, 600 for 600.0."""
    bounds = {label: lambda value: repr(float(value)) for label in ("le", "quantile")}
    return {
        (one.name, frozenset((label, bounds.get(label, str)(value)) for label, value in one.labels.items())): repr(
            float(one.value)
        )
        for one in page.samples
    }


def slots(value: float, deployment: str = "prod") -> Scene:
    scene = Scene("pools", deployment=deployment)
    scene.says(metrics.POOL_SLOTS.sample(value, pool="default_pool"))
    return scene


def test_node_exporter_reads_what_the_page_says_of_two_deployments(tmp_path: Path) -> None:
    folder = tmp_path / "textfiles"
    folder.mkdir()
    wanted: dict[Series, str] = {}
    for deployment in ("blue", "green"):
        scene = Scene(*FEEDING, deployment=deployment)
        snapshot = scene.says(*everything(3))
        textfile(folder / "{deployment}.prom", deployment).send(snapshot)
        wanted |= series(Page(snapshot.of_airflow.decode()))
    assert sorted(path.name for path in folder.iterdir()) == ["blue.prom", "green.prom"]
    with node_exporter(folder, tmp_path) as ask:
        page = ask()
    found = series(page)
    assert len(wanted) > 100
    assert {one: value for one, value in found.items() if one[0].startswith("airflow_")} == wanted, (
        "all, and nothing else"
    )
    assert page.value("node_textfile_scrape_error") == 0
    for name in ("blue.prom", "green.prom"):  # the label that the page for users has an alert on
        assert page.value("node_textfile_mtime_seconds", file=str(folder / name)) > 0


def test_it_is_what_promtool_takes(tmp_path: Path) -> None:
    path = tmp_path / "airflow.prom"
    textfile(path).send(slots(1).board.snapshot)
    checked = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=path.read_bytes(), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_it_has_no_process_of_ours_and_no_time_stamps(tmp_path: Path) -> None:
    path = tmp_path / "airflow.prom"
    textfile(path).send(slots(1).board.snapshot)
    page = Page(path.read_text())
    assert page.value(metrics.POOL_SLOTS.name, pool="default_pool") == 1
    assert not [name for name in page.names if name.startswith("process_")]
    assert {sample.timestamp for sample in page.samples} == {None}


def test_it_is_replaced_whole_and_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "airflow.prom"
    destination = textfile(path)
    before = os.umask(0o077)
    try:
        destination.send(slots(1).board.snapshot)
        with path.open() as reading:  # whoever reads has the old one to its end
            destination.send(slots(2).board.snapshot)
            assert Page(reading.read()).value(metrics.POOL_SLOTS.name) == 1
    finally:
        os.umask(before)
    assert Page(path.read_text()).value(metrics.POOL_SLOTS.name) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [one.name for one in tmp_path.iterdir()] == ["airflow.prom"]


def test_symbolic_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    elsewhere, path = tmp_path / "elsewhere", tmp_path / "airflow.prom"
    elsewhere.write_text("precious")
    path.symlink_to(elsewhere)
    textfile(path).send(slots(1).board.snapshot)
    assert not path.is_symlink()
    assert elsewhere.read_text() == "precious"


def test_what_one_that_was_killed_had_begun_is_removed(tmp_path: Path) -> None:
    old, fresh = tmp_path / f".[a].prom.x1{BEGUN}", tmp_path / f".[a].prom.x2{BEGUN}"
    others = [tmp_path / name for name in (f".b.prom.x3{BEGUN}", ".[a].prom.swp", ".[a].prom.disabled")]
    for path in (old, fresh, *others):
        path.write_text("begun")
    linked = tmp_path / f".[a].prom.x4{BEGUN}"
    linked.symlink_to(fresh)
    long_ago = time.time() - LITTER_AFTER - 60
    for path in (old, linked, *others):
        os.utime(path, (long_ago, long_ago), follow_symlinks=False)
    written = tmp_path / "[a].prom"
    textfile(written).send(slots(1).board.snapshot)
    assert {*tmp_path.iterdir()} == {written, fresh, linked, *others}


def test_one_that_is_killed_leaves_what_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has begun has the name that the next one looks for."""
    path = tmp_path / "airflow.prom"

    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(os, "fchmod", killed)
        patched.setattr(Path, "unlink", killed)
        with pytest.raises(SystemExit):
            textfile(path).send(slots(1).board.snapshot)
    [begun] = tmp_path.iterdir()
    long_ago = time.time() - LITTER_AFTER - 60
    os.utime(begun, (long_ago, long_ago))
    textfile(path).send(slots(1).board.snapshot)
    assert [*tmp_path.iterdir()] == [path]


def test_two_that_write_one_file_are_told(tmp_path: Path) -> None:
    path = tmp_path / "airflow.prom"
    first, second = textfile(path, "blue"), textfile(path, "green")
    first.send(slots(1, "blue").board.snapshot)
    second.send(slots(1, "green").board.snapshot)
    with pytest.raises(PushFailed, match=r"airflow\.prom: another writes it, too, .* \{deployment\} in it stands"):
        first.send(slots(2, "blue").board.snapshot)
    assert Page(path.read_text()).value(metrics.POOL_SLOTS.name, airflow="blue") == 2, (
        "figures that are old serve nobody"
    )
    with pytest.raises(PushFailed, match="another writes it"):
        second.send(slots(2, "green").board.snapshot)
    second.send(slots(3, "green").board.snapshot)
    path.unlink()
    second.send(slots(4, "green").board.snapshot)


def test_close_takes_it_away(tmp_path: Path) -> None:
    path = tmp_path / "airflow.prom"
    destination = textfile(path)
    destination.close()
    destination.send(slots(1).board.snapshot)
    destination.close()
    destination.close()
    assert not [*tmp_path.iterdir()]


def test_close_leaves_what_another_has_written_since(tmp_path: Path) -> None:
    path = tmp_path / "airflow.prom"
    before, now = textfile(path), textfile(path)
    before.send(slots(1).board.snapshot)
    now.send(slots(2).board.snapshot)
    before.close()
    assert Page(path.read_text()).value(metrics.POOL_SLOTS.name) == 2


def test_folder_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "airflow.prom"
    with pytest.raises(PushFailed) as failure:
        textfile(path).send(slots(1).board.snapshot)
    assert str(failure.value) == f"{path}: cannot be written: No such file or directory; make its folder"


def test_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "airflow.prom"
    path.mkdir()
    with pytest.raises(PushFailed, match="Is a directory; choose the path of a file"):
        textfile(path).send(slots(1).board.snapshot)
    assert [one.name for one in tmp_path.iterdir()] == ["airflow.prom"], "nothing is left beside it"


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EACCES, "make its folder writable for this user"),
        (errno.EROFS, "ReadWritePaths="),
        (errno.ENOSPC, "make room there"),
        (errno.EIO, "see whether this user can write there"),
    ],
)
def test_remedies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str) -> None:
    """A full disk, or one that is only read, would have to be mounted."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fchmod", fail)
    with pytest.raises(PushFailed, match=rf"{os.strerror(number)}; .*{remedy}"):
        textfile(tmp_path / "airflow.prom").send(slots(1).board.snapshot)
    assert not [*tmp_path.iterdir()]


def test_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The device that is always full stands for it."""
    import tempfile

    full = Path("/dev/full")
    real = tempfile.NamedTemporaryFile

    def on_a_full_disk(**_: object) -> object:
        file = real(dir=tmp_path, delete=False)
        os.dup2(os.open(full, os.O_WRONLY), file.fileno())
        return file

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", on_a_full_disk)
    with pytest.raises(PushFailed, match="No space left on device; make room there"):
        textfile(tmp_path / "airflow.prom").send(slots(1).board.snapshot)
    assert not [*tmp_path.iterdir()]
