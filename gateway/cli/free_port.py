"""Waits until a port is free, before the gateway listens on it."""

import errno
import time
from contextlib import closing

from gateway.cli.output import Progress
from gateway.replica.ports import bind_port

_PATIENCE_S = 10.0
_POLL_S = 0.25


def await_free_port(host: str, port: int, progress: Progress) -> None:
    """Return once no process listens on the port, not even one that would share it.

    The replicas of a gateway that was killed end within seconds. This function waits for them for ten seconds.

    Raises:
        OSError: the port stays in use, or cannot be bound for another reason.
    """
    until_s = time.monotonic() + _PATIENCE_S
    waiting = False
    while True:
        try:
            with closing(bind_port(host, port, shared=False)):
                return
        except OSError as error:
            if time.monotonic() > until_s or error.errno != errno.EADDRINUSE:
                raise OSError(
                    f"Port {port} on {host} cannot be had ({error.strerror}): end what listens "
                    "there, or choose another with --port or --grpc-port."
                ) from error
        if not waiting:
            progress.step(f"waiting for port {port}, which another process holds")
            waiting = True
        time.sleep(_POLL_S)
