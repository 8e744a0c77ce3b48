"""Servers that take a connection and say whatever a test wants, whatever they are asked."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Talk = Callable[[socket.socket], None]


@contextmanager
def talker(talk: Talk) -> Iterator[int]:
    """The port of a server that treats every connection like that, in a thread of its own; all are closed at the end."""
    opened: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            talk(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                opened.append(connection)
                threads.append(threading.Thread(target=one, args=(connection,)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for connection in opened:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def saying(answer: bytes) -> Talk:
    """Give that answer to whatever comes in, again and again."""

    def talk(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(answer)

    return talk


def dripping(text: bytes) -> Talk:
    """Send that, then a byte ten times a second, without end."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(text)
        while True:
            connection.sendall(b"x")
            time.sleep(0.1)

    return talk


def redis_saying(**answers: bytes) -> Talk:
    """A Redis as far as one must be to be talked to: OK to every command, but for those that have answers here."""

    def talk(connection: socket.socket) -> None:
        with connection.makefile("rb") as lines:
            while head := lines.readline():
                words = [lines.read(int(lines.readline()[1:]) + 2)[:-2] for _ in range(int(head[1:]))]
                connection.sendall(answers.get(words[0].decode().lower(), b"+OK\r\n"))

    return talk
