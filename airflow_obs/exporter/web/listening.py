"""Sockets that listen: at TCP addresses, at paths of Unix sockets, or those that systemd has opened."""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets

from airflow_obs.errors import UsageError
from airflow_obs.exporter.web.endpoint import Endpoint
from airflow_obs.policy import addresses

BACKLOG = 1024
"""Connections that the kernel takes before we do; a scraper that finds no place among them tries again only after a second."""
SEND_BUFFER_BYTES = 131_072
"""Of the kernel, for each client; left to itself it would take megabytes for one that reads nothing."""
ACCEPT_AGAIN_SECONDS = 1.0
ACCEPT_AT_ONCE = 16
"""New connections before those that are there get their turn, so that no crowd that comes can push one out that only just came."""
UNIX_MODE = 0o660
"""Of a Unix socket's file: for its owner and group, as a reverse proxy's user may be in that."""
FIRST_OF_SYSTEMD = 3
"""The file descriptor from which on systemd's sockets are; sd_listen_fds(3)."""
PROBE_SECONDS = 2.0

_TCP, _SYSTEMD = "--web.listen-address", "--web.systemd-socket"

log = logging.getLogger(__name__)


class _Listening(socket.socket):
    """Takes a rest after some connections, and when no file can be opened; Tornado would try, and log it, without end."""

    complained = False
    in_a_row = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.in_a_row = (self.in_a_row + 1) % (ACCEPT_AT_ONCE + 1)
        if not self.in_a_row:
            raise BlockingIOError  # as below; the loop comes back at once, if somebody is
        try:
            return super().accept()
        except BlockingIOError:
            self.in_a_row = 0
            raise
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            if not self.complained:
                log.warning("web: cannot take a connection: %s; raise the limit (ulimit -n)", error.strerror)
            self.complained = True
            loop = IOLoop.current()
            loop.update_handler(self, 0)
            loop.call_later(ACCEPT_AGAIN_SECONDS, self._accept_again)
            raise BlockingIOError from error  # for Tornado: nobody is waiting

    def ready(self) -> None:
        """To be called when it listens."""
        self.settimeout(0)
        # What is accepted from it inherits this, but for Unix sockets, of which the kernel buffers no more by itself.
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def _accept_again(self) -> None:
        if self.fileno() >= 0:
            IOLoop.current().update_handler(self, IOLoop.READ)


class _AtPath(_Listening):
    """A Unix socket that takes its file with it when it is closed, unless that is another's by then."""

    _file: tuple[int, int] | None = None

    def bind(self, address: Any) -> None:
        with _umask(0o777 & ~UNIX_MODE):
            super().bind(address)
        self._file = _identity(Path(address))

    def close(self) -> None:
        if self._file is not None:
            path = Path(self.getsockname())
            with suppress(OSError):
                if _identity(path) == self._file:
                    path.unlink()
            self._file = None
        super().close()


def bound(setting: str, host: str, port: int) -> list[socket.socket]:
    """Sockets that listen there; an empty host is every interface. UsageError, naming the setting, if that cannot be had."""
    try:
        listening = [_Listening(fileno=one.detach()) for one in bind_sockets(port, host or None, backlog=BACKLOG)]
    except (OSError, UnicodeError) as error:  # UnicodeError: no host can be called that
        raise _taken(f"{setting} {host or '*'}:{port}", error, "choose another address or port") from None
    for one in listening:
        one.ready()
    return [*listening]


def listening(endpoint: Endpoint) -> list[socket.socket]:
    """Sockets at all addresses of the endpoint, or systemd's instead; UsageError if one cannot be had, and then none is open."""
    with ExitStack() as until_all:
        found = [until_all.enter_context(one) for one in _all_of(endpoint)]
        until_all.pop_all()
    return found


def urls(sockets: Iterable[socket.socket], *, encrypted: bool) -> list[str]:
    """Where these sockets are reached, for the log; Unix sockets as nginx writes them."""
    scheme = "https" if encrypted else "http"
    return [f"{scheme}://{_name(one)}" for one in sockets]


def _name(one: socket.socket) -> str:
    name = one.getsockname()
    if one.family == socket.AF_UNIX:
        # An abstract one is bytes that begin with a NUL.
        return f"unix:{name if isinstance(name, str) else '@' + name[1:].decode(errors='backslashreplace')}:"
    host = str(name[0])
    return f"{f'[{host}]' if ':' in host else host}:{name[1]}"


def _all_of(endpoint: Endpoint) -> Iterator[socket.socket]:
    if endpoint.systemd_socket:
        yield from _of_systemd()
        return
    for address, times in Counter(endpoint.addresses).items():
        if times > 1 and not address.endswith(":0"):
            raise UsageError(f"{_TCP} {address}: given {times} times: give it once")
    for address in endpoint.addresses:
        if address.startswith(addresses.UNIX):
            yield _at_path(Path(address.removeprefix(addresses.UNIX)))
        else:
            yield from bound(_TCP, *addresses.parse(address))


def _at_path(path: Path) -> socket.socket:
    where = f"{_TCP} {addresses.UNIX}{path}"
    made = _AtPath(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_way(path, where)
        made.bind(str(path))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise _taken(where, error, "choose another path, in a folder that is there and ours to write in") from None
    except UsageError:
        made.close()
        raise
    made.ready()
    return made


def _make_way(path: Path, where: str) -> None:
    """Remove the socket that one who is gone has left there, and nothing else; OSError or UsageError for anything else."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise UsageError(f"{where}: cannot listen there: something is there that is no socket; choose another path")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(PROBE_SECONDS)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _of_systemd() -> Iterator[socket.socket]:
    """Those of sd_listen_fds(3); the variables are removed, as they hold for nobody whom we start."""
    process, number, _ = (os.environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES"))
    if process != str(os.getpid()) or not number.isdecimal() or int(number) == 0:
        raise UsageError(
            f"{_SYSTEMD}: systemd has opened no socket for this process: start it by a .socket unit, or leave the flag out"
        )
    for descriptor in range(FIRST_OF_SYSTEMD, FIRST_OF_SYSTEMD + int(number)):
        try:
            one = _Listening(fileno=descriptor)
        except OSError:
            raise _not_listening(descriptor) from None
        with ExitStack() as until_ready:
            until_ready.enter_context(one)
            if one.type != socket.SOCK_STREAM or not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise _not_listening(descriptor)
            one.set_inheritable(False)
            one.ready()
            until_ready.pop_all()
        yield one


def _not_listening(descriptor: int) -> UsageError:
    return UsageError(
        f"{_SYSTEMD}: file descriptor {descriptor} listens for no connections: the .socket unit needs ListenStream= and "
        "Accept=no, and nothing else"
    )


def _taken(where: str, error: Exception, remedy: str) -> UsageError:
    why = getattr(error, "strerror", None) or error
    taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
    return UsageError(
        f"{where}: cannot listen there: {why}; {'is another exporter running? ' if taken else ''}{remedy}"
    )


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    """The file has its mode from the moment it is there; to be used before there are threads that write files."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)
