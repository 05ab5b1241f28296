"""Ports that several replicas share.

With SO_REUSEPORT every replica binds a socket of its own to the same port, and the kernel spreads new connections over
all sockets that listen.
"""

import socket


def bind_port(host: str, port: int, *, shared: bool = True) -> socket.socket:
    """Return a bound socket that does not accept connections yet. Other replicas can bind the port too if `shared`.

    Raises:
        OSError: another process holds the port without sharing it, or holds it at all if not `shared`.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
