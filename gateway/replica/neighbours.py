"""What other replicas serve already, so that a new one begins to listen when it serves the same.

A replica that listens before that would answer 503 for what is missing. Requests come to it at once: the kernel spreads
connections over all replicas of a machine that listen on its port, and load balancers over all machines that answer. A
replica that is the only one does better to listen at once: then it says that it lives, and serves each route as soon as
that is loaded.
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
        """Return the routes that others serve as declared, by the store's reports; none if this one is alone.

        Return None if replicas listen on the port and the store does not answer.
        """
        beside = self._are_listening()
        with contextlib.suppress(StoreUnavailable):
            return self._reported(beside=beside)
        return None if beside else frozenset()

    def _are_listening(self) -> bool:
        """Return True if a connection is accepted. This replica does not listen yet, so others do."""
        try:
            socket.create_connection(self._address, _CONNECT_S).close()
        except OSError:
            return False
        return True

    def _reported(self, *, beside: bool) -> frozenset[str]:
        """Return what replicas of other machines serve, and those of this one if any listens `beside` this replica.

        If none does, what this machine has reported is of replicas that have just ended.
        """
        now_s, host = time.time(), host_of(self._name)
        return frozenset(
            route
            for report in self._store.reports()
            if report.replica != self._name and now_s - report.at_s < _FRESH_S
            if beside or host_of(report.replica) != host
            for route in report.routes.keys() - report.problems.keys()
        )


def lacks(live: LiveTable, served: frozenset[str] | None) -> bool:
    """Return True if one of these routes is not served here as declared. If they are unknown, all routes count."""
    if served is None:
        return bool(live.problems)
    return any(route not in live.routes or route in live.problems for route in served)
