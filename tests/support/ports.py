"""TCP ports that are free.

They lie below 32,768, where Linux begins to hand out ports to outgoing connections, so that no connection of another
test takes a port between the moment when it is chosen and the moment when a server binds it. They lie above 19,999,
where the ports of Ray's workers end. Each worker of pytest-xdist has a share of them, and so has what runs beside them
without xdist: two that choose at the same moment do not choose the same port.
"""

import os
import secrets
import socket
from collections import deque
from contextlib import ExitStack

_FIRST, _LAST = 20_000, 22_699
_BUS_ABOVE = 10_000
"""A node of a Redis cluster also listens this far above its port."""
_SHARES = 5
_given: deque[int] = deque(maxlen=100)
"""The last ports that were given here. What asked for one may not listen there yet."""


def _share() -> tuple[int, int]:
    """Return the first port of this process, and how many it has."""
    worker, size = os.environ.get("PYTEST_XDIST_WORKER", ""), (_LAST - _FIRST + 1) // _SHARES
    share = 1 + int(worker.removeprefix("gw")) % (_SHARES - 1) if worker else 0
    return _FIRST + share * size, size


def free_port() -> int:
    """Return a port that nothing listens on, with the port 10,000 above it free too."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return as many different free ports."""
    found: list[int] = []
    first, size = _share()
    with ExitStack() as held:
        while len(found) < count:
            port = first + secrets.randbelow(size)
            if port in _given:
                continue
            probes = [held.enter_context(socket.socket()) for _ in range(2)]
            try:
                for probe, each in zip(probes, (port, port + _BUS_ABOVE), strict=True):
                    probe.bind(("127.0.0.1", each))
            except OSError:
                continue
            found.append(port)
            _given.append(port)
    return found
