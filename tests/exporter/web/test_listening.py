"""Where the endpoint listens: TCP addresses, Unix sockets, those that systemd opened; and what cannot be had."""

from __future__ import annotations

import http.client
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from airflow_obs.errors import UsageError
from airflow_obs.exporter.web.endpoint import Endpoint
from airflow_obs.exporter.web.listening import listening, urls
from tests.exporter.web.serving import ANSWER_WITHIN
from tests.exporter_process import COMMAND, environment, started

REQUEST = b"GET /-/healthy HTTP/1.0\r\n\r\n"
POLICY = (
    "deployments: [{name: airflow, sources: {database: null, broker: null, health: {url: 'http://127.0.0.1:9'}}}]\n"
)
AS_SYSTEMD = """
import os, socket, sys
one = socket.create_server(("127.0.0.1", 0)) if sys.argv[1] == "listening" else socket.socketpair()[0]
print(one.getsockname()[1] if sys.argv[1] == "listening" else "", flush=True)
os.dup2(one.fileno(), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
os.execv(sys.argv[2], sys.argv[2:])
"""


@contextmanager
def opened(*addresses: str) -> Iterator[list[socket.socket]]:
    """Sockets at these addresses, closed at the end."""
    with ExitStack() as stack:
        yield [stack.enter_context(one) for one in listening(Endpoint(addresses))]


def test_several_addresses_and_a_unix_socket(tmp_path: Path) -> None:
    with opened("127.0.0.1:0", "[::1]:0", "127.0.0.1:0", f"unix:{tmp_path}/web") as sockets:
        found = urls(sockets, encrypted=False)
        assert [url.rpartition(":")[0] for url in found[:3]] == ["http://127.0.0.1", "http://[::1]", "http://127.0.0.1"]
        assert found[3] == f"http://unix:{tmp_path}/web:"
        assert urls(sockets[:1], encrypted=True)[0].startswith("https://127.0.0.1:")
        for one in sockets:
            with socket.socket(one.family) as client:
                client.connect(one.getsockname())


def test_every_interface_has_one_port() -> None:
    with opened(":0") as sockets:
        assert len({one.getsockname()[1] for one in sockets}) == 1


def test_address_given_twice_is_said() -> None:
    with pytest.raises(UsageError, match=r"--web.listen-address :9999: given 2 times"):
        listening(Endpoint((":9999", ":9999")))


# Tornado leaves the socket that it could not bind to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_address_that_is_taken_leaves_none_open(tmp_path: Path) -> None:
    with opened("127.0.0.1:0") as [taken]:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (names alone: a Path would need the entry to stay)
        with pytest.raises(UsageError, match=f"--web.listen-address {address}: .*is another exporter running"):
            listening(Endpoint((f"unix:{tmp_path}/web", address)))
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 (as above)
    assert not (tmp_path / "web").exists()


def test_unix_socket_is_for_owner_and_group_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "web"
    for umask in (0o000, 0o077):
        before = os.umask(umask)
        try:
            with opened(f"unix:{path}"):
                assert stat.S_IMODE(path.stat().st_mode) == 0o660
        finally:
            assert os.umask(before) == umask


def test_unix_socket_is_removed_when_it_is_closed(tmp_path: Path) -> None:
    with opened(f"unix:{tmp_path}/web"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_unix_socket_of_who_is_gone_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "web"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
        gone.listen()
    with opened(f"unix:{path}") as [ours], socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        ours.accept()[0].close()


def test_unix_socket_that_another_made_since_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "web"
    with opened(f"unix:{path}"), socket.socket(socket.AF_UNIX) as other:
        path.unlink()
        other.bind(str(path))
    assert path.is_socket()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_unix_socket_that_someone_listens_on_is_left_alone(tmp_path: Path, kind: socket.SocketKind) -> None:
    path = tmp_path / "web"
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(str(path))
        if kind == socket.SOCK_STREAM:
            other.listen()
        with pytest.raises(UsageError, match=rf"unix:{path}: cannot listen there: ") as error:
            listening(Endpoint((f"unix:{path}",)))
        assert ("is another exporter running?" in str(error.value)) is (kind == socket.SOCK_STREAM)
        assert path.is_socket()


@pytest.mark.parametrize("made", ["file", "folder", "link"])
def test_what_is_no_socket_is_never_removed(tmp_path: Path, made: str) -> None:
    path, aim = tmp_path / "web", tmp_path / "aim"
    if made == "folder":
        path.mkdir()
    else:
        (path if made == "file" else aim).write_text("precious")
    if made == "link":
        path.symlink_to(aim)
    with pytest.raises(UsageError, match="something is there that is no socket"):
        listening(Endpoint((f"unix:{path}",)))
    assert path.is_dir() or path.read_text() == "precious"


@pytest.mark.parametrize(
    ("path", "why"), [("{}/none/web", "No such file or directory"), ("{}/" + "w" * 200, "path too long")]
)
def test_unix_socket_that_cannot_be_made_is_said(tmp_path: Path, path: str, why: str) -> None:
    with pytest.raises(UsageError, match=f"{why}; choose another path, in a folder that is there"):
        listening(Endpoint((f"unix:{path.format(tmp_path)}",)))


def test_systemd_without_sockets_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for process, number in (("", ""), ("1", "1"), (str(os.getpid()), "0"), (str(os.getpid()), "many")):
        monkeypatch.setenv("LISTEN_PID", process)
        monkeypatch.setenv("LISTEN_FDS", number)
        with pytest.raises(UsageError, match=r"--web.systemd-socket: systemd has opened no socket for this process"):
            listening(Endpoint((), systemd_socket=True))
        assert "LISTEN_FDS" not in os.environ


def test_exporter_serves_at_all_its_addresses(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    path = tmp_path / "web"
    flags = ("--policy", "policy.yaml", "--web.listen-address", f"unix:{path}", "--web.listen-address", "[::1]:0")
    with started(tmp_path, *flags) as running:
        assert running.get("/-/healthy").status_code == 200
        running.until_said(f"on http://unix:{path}:/metrics")
        running.until_said("on http://[::1]:")
        found = re.search(r"http://\[::1\]:(\d+)/metrics", running.log)
        assert found is not None
        for address in (str(path), ("::1", int(found[1]))):
            with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6) as client:
                client.settimeout(ANSWER_WITHIN)
                client.connect(address)
                client.sendall(REQUEST)
                assert client.recv(15) == b"HTTP/1.1 200 OK"
        assert running.stop() == 0
    assert not path.exists()


def test_exporter_serves_on_what_systemd_opened(tmp_path: Path) -> None:
    with _under_systemd(tmp_path, "listening") as process:
        assert process.stdout is not None
        connection = http.client.HTTPConnection("127.0.0.1", int(process.stdout.readline()), timeout=ANSWER_WITHIN)
        connection.request("GET", "/-/healthy")  # the kernel keeps it until the exporter is there
        assert connection.getresponse().status == 200
        connection.close()
        process.terminate()
        assert process.wait(ANSWER_WITHIN) == 0


def test_connection_from_systemd_is_no_socket_to_listen_on(tmp_path: Path) -> None:
    with _under_systemd(tmp_path, "connected") as process:
        _, said = process.communicate(timeout=ANSWER_WITHIN)
        assert process.returncode == 2
        assert b"file descriptor 3 listens for no connections: the .socket unit needs ListenStream=" in said


@contextmanager
def _under_systemd(folder: Path, kind: str) -> Iterator[subprocess.Popen[bytes]]:
    """An exporter that was given a socket as systemd gives them; its first line is the port."""
    (folder / "policy.yaml").write_text(POLICY)
    command = [sys.executable, "-c", AS_SYSTEMD, kind, *COMMAND, "exporter", "--policy", "policy.yaml"]
    with subprocess.Popen(
        [*command, "--web.systemd-socket"],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
