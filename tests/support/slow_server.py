"""A server on loopback that answers a byte at a time, as a broken proxy or a very bad line does."""

import socket
import threading
from contextlib import suppress

_EVERY_S = 0.02


class SlowServer:
    """Answers each request with `prompt` at once, and `slow` a byte at a time. `ended` counts clients that left."""

    def __init__(self, prompt: bytes, slow: bytes) -> None:
        self.prompt, self.slow = prompt, slow
        self.ended = 0
        self._stopped = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "SlowServer":
        """Return the server, which serves already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._stopped.set()
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                taken, _ = self._listening.accept()
                threading.Thread(target=self._answer, args=(taken,), daemon=True).start()

    def _answer(self, taken: socket.socket) -> None:
        with taken, suppress(OSError):
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            head = b""
            while b"\r\n\r\n" not in head:
                head += taken.recv(65_536)
            taken.sendall(self.prompt)
            for at in range(len(self.slow)):
                if self._stopped.wait(_EVERY_S):
                    return
                taken.sendall(self.slow[at : at + 1])
        self.ended += 1
