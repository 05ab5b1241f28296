"""The main module of the companion process.

    python -m gateway.companion.main SOCKET PIPE LOCK

SOCKET is one end of a connection to the replica that starts it. The replica sends the settings, in one line of JSON.
When the replica closes the connection or ends, this process ends in order. LOCK is the file that makes it the only
companion of its machine. PIPE is for processes that have to be killed; this one ends by itself.

The lock is taken, and the heartbeat begins, before anything large is imported. If two replicas start a companion at
once, one ends again at once; and on a busy machine the imports take long.
"""

import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

from gateway.companion.heartbeat import Heartbeat
from inference_log.process_lock import take_lock

_LAST_WORK_S = 25.0
"""How long this process may take at its end, beside shipping."""


def main() -> None:
    """Run the companion until the replica that has started it closes the connection."""
    descriptor, pipe, path = sys.argv[1:]
    for each in (descriptor, pipe):
        os.set_inheritable(int(each), False)
    connection = socket.socket(fileno=int(descriptor))
    lock = take_lock(Path(path))
    if lock is None:
        return
    heartbeat = Heartbeat(lock)

    def end(_: int, __: FrameType | None) -> None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)  # so the main thread, which reads, finds its end

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    settings = connection.makefile("rb").readline()
    if settings:
        _run(settings, connection, heartbeat)
    heartbeat.stop()
    lock.release()


def _run(settings: bytes, connection: socket.socket, heartbeat: Heartbeat) -> None:
    from gateway.companion.companion import Companion
    from gateway.settings import Settings
    from gateway.telemetry.logs import configure_logs

    configure_logs()
    read = Settings.model_validate_json(settings)
    companion = Companion(read)
    heartbeat.is_working = companion.is_working
    companion.start()
    with suppress(OSError):
        connection.recv(1)
    _end_within(_LAST_WORK_S + read.ship_at_end_s)
    companion.stop()


def _end_within(limit_s: float) -> None:
    """End this process after a time, whatever it does then: it holds the lock that another companion needs."""
    timer = threading.Timer(limit_s, os._exit, (1,))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    main()
