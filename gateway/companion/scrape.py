"""Scrapes: a replica that is asked for the metrics asks the companion, which renders those of the whole machine.

Rendering takes time: a thousand routes have a hundred thousand lines. While there is no companion that answers, the
replica renders the text itself.
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from gateway.companion.files import PROCESS, lock_file, scrape_socket
from gateway.companion.unix_socket import listening, short_name
from gateway.settings import Settings
from gateway.telemetry.published import read_all
from gateway.telemetry.render import render
from inference_log.process_lock import is_held
from inference_log.spool import held_seats

_log = structlog.get_logger()

_PATIENCE_S = 5.0
_WAITING = 16  # scrapes
_LENGTH = struct.Struct("<Q")


def scrape(settings: Settings) -> bytes:
    """Return the metrics of all processes of this machine: from the companion, or else rendered here."""
    with suppress(OSError):
        text = _ask(scrape_socket(settings))
        if text:
            return text
    return render_all(settings)


def render_all(settings: Settings) -> bytes:
    """Render the metrics of all processes of this machine here."""
    live = {str(seat) for seat in held_seats(settings.spool)}
    if is_held(lock_file(settings)):
        live.add(PROCESS)
    return render(read_all(settings.metrics_dir), live)


class Scrapes:
    """Answers each connection to a socket with the text that `render_text` returns."""

    def __init__(self, path: Path, render_text: Callable[[], bytes]) -> None:
        self._path = path
        self._render_text = render_text

    def run(self, stop: threading.Event) -> None:
        """Answer until `stop` is set."""
        with listening(self._path, _WAITING) as listener:
            listener.settimeout(0.5)
            while not stop.is_set():
                try:
                    self._answer(listener.accept()[0])
                except TimeoutError:
                    pass
                except OSError as error:  # such as too many open files
                    _log.warning("gateway.scrape.failed", error=str(error))
                    stop.wait(1.0)

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(_PATIENCE_S)
            try:
                text = self._render_text()
                connection.sendall(_LENGTH.pack(len(text)) + text)
            except Exception as error:  # noqa: BLE001  # the next scrape must find this thread running
                _log.warning("gateway.scrape.failed", error=repr(error))


def _ask(path: Path) -> bytes:
    """Return what the companion answers; nothing if that is not whole.

    Raises:
        OSError: there is no companion, or it does not answer in time.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE_S)
        with short_name(path) as name:
            connection.connect(name)
        received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    length, text = received[: _LENGTH.size], received[_LENGTH.size :]
    return text if length == _LENGTH.pack(len(text)) else b""  # the companion may have ended in the middle
