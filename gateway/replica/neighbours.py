"""Other replicas that listen on this replica's port already, and what they serve.

The kernel spreads connections over all that listen. So a replica that listens before it serves what its neighbours
serve would answer 503 for them. A replica without neighbours does better to listen at once: then it says that it lives,
and serves each route as soon as that is loaded. In a pod of its own it has none.
"""

import contextlib
import socket
import time

from gateway.control.report import host_of
from gateway.inference.live_table import LiveTable
from store.errors import StoreUnavailable
from store.interface import Store

_CONNECT_S = 1.0
_FRESH_S = 5.0
"""Reports are a second apart."""


class Neighbours:
    """Of the replica `name`, which is going to listen at `host` and `port`. Its methods block for a moment."""

    def __init__(self, store: Store, name: str, host: str, port: int) -> None:
        self._store = store
        self._name = name
        self._address = host, port

    def served(self) -> frozenset[str] | None:
        """Return the routes that neighbours serve as declared, by the store's reports; none if nothing listens.

        Return None if there are neighbours and the store does not answer.
        """
        if not self._are_listening():
            return frozenset()
        with contextlib.suppress(StoreUnavailable):
            return self._reported()
        return None

    def _are_listening(self) -> bool:
        """Return True if a connection is accepted. This replica does not listen yet, so others do."""
        try:
            socket.create_connection(self._address, _CONNECT_S).close()
        except OSError:
            return False
        return True

    def _reported(self) -> frozenset[str]:
        now_s, host = time.time(), host_of(self._name)
        return frozenset(
            route
            for report in self._store.reports()
            if report.replica != self._name and host_of(report.replica) == host and now_s - report.at_s < _FRESH_S
            for route in report.routes.keys() - report.problems.keys()
        )


def lacks(live: LiveTable, served: frozenset[str] | None) -> bool:
    """Return True if one of these routes is not served here as declared. If they are unknown, all routes count."""
    if served is None:
        return bool(live.problems)
    return any(route not in live.routes or route in live.problems for route in served)
