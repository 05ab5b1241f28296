"""The main module of the companion process.

    python -m gateway.companion.main SOCKET PIPE LOCK

SOCKET is one end of a connection to the replica that starts it. The replica sends the settings, in one line of JSON.
When the replica closes the connection or ends, this process ends in order. LOCK is the file that makes it the only
companion of its machine. PIPE is not needed.

The lock is taken before anything large is imported: if two replicas start a companion at once, one ends again at once.
"""

import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

from inference_log.process_lock import ProcessLock, take_lock

_TRIES = 5
_PAUSE_S = 0.02


def main() -> None:
    """Run the companion until the replica that has started it closes the connection."""
    descriptor, pipe, path = sys.argv[1:]
    for each in (descriptor, pipe):
        os.set_inheritable(int(each), False)
    connection = socket.socket(fileno=int(descriptor))
    lock = _take_lock(Path(path))
    if lock is None:
        return

    def end(_: int, __: FrameType | None) -> None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)  # so the main thread, which reads, finds its end

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    settings = connection.makefile("rb").readline()
    if not settings:
        return

    from gateway.companion.companion import Companion
    from gateway.settings import Settings
    from gateway.telemetry.logs import configure_logs

    configure_logs()
    companion = Companion(Settings.model_validate_json(settings), lock)
    companion.start()
    with suppress(OSError):
        connection.recv(1)
    companion.stop()


def _take_lock(path: Path) -> ProcessLock | None:
    """Take the lock, or return None if it is held for longer than a process takes that only looks if it is."""
    for _ in range(_TRIES):
        lock = take_lock(path)
        if lock is not None:
            return lock
        time.sleep(_PAUSE_S)
    return None


if __name__ == "__main__":
    main()
