"""A proxy between a store and its Redis server, which can act at a chosen command and lose the reply."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from tests.support.redis_server import RedisServer


class RedisProxy:
    """Passes bytes on in both directions. The first time that `words` pass to the server, it calls `act`.

    If `act` returns False, the server gets the words, but the connection is cut instead of passing the reply on.
    """

    def __init__(self, server: RedisServer, words: str, act: Callable[[], bool]) -> None:
        self._target = ("127.0.0.1", server.port)
        self._words = words.encode()
        self._act: Callable[[], bool] | None = act
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self._run(self._serve)

    def close(self) -> None:
        """Cut all connections."""
        for each in self._sockets:
            with suppress(OSError):  # the other side was quicker
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        self._threads[-1].start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                inner, _ = self._listener.accept()
                self._sockets.append(inner)
                outer = socket.create_connection(self._target)
                self._sockets.append(outer)
                cut = threading.Event()
                self._run(self._up, inner, outer, cut)
                self._run(self._down, inner, outer, cut)

    def _up(self, inner: socket.socket, outer: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while data := inner.recv(65536):
                if self._act is not None and self._words in data:
                    act, self._act = self._act, None
                    if not act():
                        cut.set()
                outer.sendall(data)
            outer.shutdown(socket.SHUT_WR)

    def _down(self, inner: socket.socket, outer: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while data := outer.recv(65536):
                if cut.is_set():  # the server has executed the command, and the reply is lost
                    inner.shutdown(socket.SHUT_RDWR)
                    return
                inner.sendall(data)
