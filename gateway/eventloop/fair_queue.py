"""Jobs that wait, taken in turn: from each caller, and of each caller from each connection."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Jobs by caller and connection. Those of one connection keep their order."""

    def __init__(self) -> None:
        self._by_caller: dict[Hashable, dict[Hashable, deque[T]]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_caller)

    def put(self, caller: Hashable, connection: Hashable, job: T) -> None:
        """Add a job behind the others of its connection."""
        self._by_caller.setdefault(caller, {}).setdefault(connection, deque()).append(job)

    def pop(self) -> T:
        """Remove and return the job whose turn it is. Its caller, and its connection, have the last turn then."""
        caller = next(iter(self._by_caller))
        connections = self._by_caller.pop(caller)
        connection = next(iter(connections))
        jobs = connections.pop(connection)
        job = jobs.popleft()
        if jobs:
            connections[connection] = jobs
        if connections:
            self._by_caller[caller] = connections
        return job
