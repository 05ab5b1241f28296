"""The companion's socket for rewards: a thread for each connection, which answers one request after another."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from gateway.companion.rewards.messages import Answered, Asked, decode_asked, frame, receive
from gateway.companion.unix_socket import listening

_log = structlog.get_logger()

_MOST_CONNECTIONS = 128
"""A replica has four."""
_LAST_ANSWERS_S = 5.0
_POLL_S = 0.5


class RewardServer:
    """Answers each request at a socket with what `answer` returns."""

    def __init__(self, path: Path, answer: Callable[[Asked], Answered]) -> None:
        self._path = path
        self._answer = answer
        self._open: dict[socket.socket, threading.Thread] = {}

    def run(self, stop: threading.Event) -> None:
        """Answer until `stop` is set; then what has arrived by then."""
        with listening(self._path, _MOST_CONNECTIONS) as listener:
            listener.settimeout(_POLL_S)
            while not stop.is_set():
                try:
                    self._begin(listener.accept()[0])
                except TimeoutError:
                    pass
                except OSError as error:  # such as too many open files
                    _log.warning("gateway.rewards.not_accepted", error=str(error))
                    stop.wait(1.0)
        self._end()

    def _begin(self, connection: socket.socket) -> None:
        if len(self._open) >= _MOST_CONNECTIONS:
            connection.close()
            return
        connection.settimeout(None)
        thread = threading.Thread(target=self._serve, args=(connection,), name="rewards", daemon=True)
        self._open[connection] = thread
        thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                while (message := receive(connection)) is not None:
                    connection.sendall(frame(self._answer(decode_asked(message))))
        except OSError:
            pass  # the replica has ended, or waits no longer
        except Exception:  # noqa: BLE001  # the replica tells its caller to send the request again
            _log.exception("gateway.rewards.failed")
        finally:
            self._open.pop(connection, None)

    def _end(self) -> None:
        """Read nothing more, and answer what was read."""
        threads = list(self._open.items())
        for connection, _ in threads:
            try:
                connection.shutdown(socket.SHUT_RD)
            except OSError:
                continue  # it is closed
        for _, thread in threads:
            thread.join(_LAST_ANSWERS_S / max(1, len(threads)))
