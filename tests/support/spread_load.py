"""Keep-alive clients of several pods, at a steady rate. A connection that is refused is tried at another pod."""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

from tests.support.client_threads import ClientThreads

_TIMEOUT_S = 30.0
_PAUSE_S = 0.01


@dataclass
class SpreadLoad(ClientThreads):
    """`with SpreadLoad(ports, body, per_second=100) as load: ...`: sends requests until the block ends.

    `ports` returns where to connect now, as the endpoints of a Service do.
    """

    ports: Callable[[], Sequence[int]]
    body: bytes
    per_second: float
    path: str = "/v2/models/cancer/infer"
    clients: int = 8
    answered: dict[str, tuple[int, float]] = field(default_factory=dict)
    """By decision: the port that answered, and when (of `time.monotonic`)."""
    failed: list[str] = field(default_factory=list)
    refused: int = 0
    """Connections that were refused, and made elsewhere."""

    def __enter__(self) -> Self:
        self._lock, self._began_s = threading.Lock(), time.monotonic()
        self.set_rate(self.per_second)
        return super().__enter__()

    def set_rate(self, per_second: float) -> None:
        """Send so many requests a second from now on."""
        since_s = time.monotonic()
        self._due_s = (since_s + number / per_second for number in itertools.count())

    def longest_silence_s(self) -> float:
        """Return the longest time between two answers."""
        times_s = sorted(at_s for _, at_s in self.answered.values())
        return max(later - earlier for earlier, later in itertools.pairwise(times_s))

    def _run(self, number: int) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stop.wait(max(0.0, self._next_due_s() - time.monotonic())):
            connection = connection or self._connect(number)
            if connection is None:
                return
            try:
                is_kept = self._send(connection)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(f"{time.monotonic() - self._began_s:.1f} s: {error!r} at {connection.port}")
                is_kept = False
            if not is_kept:
                connection.close()
                connection = None

    def _next_due_s(self) -> float:
        with self._lock:
            return next(self._due_s)

    def _connect(self, number: int) -> http.client.HTTPConnection | None:
        """Connect to a pod, beginning with another one for each client. Return None if the load ends meanwhile."""
        for turn in itertools.count(number):
            ports = self.ports()
            if not ports and not self._stop.wait(_PAUSE_S):
                continue
            if not ports:
                break
            connection = http.client.HTTPConnection("127.0.0.1", ports[turn % len(ports)], timeout=_TIMEOUT_S)
            try:
                connection.connect()
            except OSError:
                self.refused += 1
                connection.close()
            else:
                return connection
            if self._stop.wait(_PAUSE_S):
                break
        return None

    def _send(self, connection: http.client.HTTPConnection) -> bool:
        """Send one request. Return False if the server wants the connection closed."""
        connection.request("POST", self.path, self.body, {"content-type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        if response.status == 200:
            decision = json.loads(content)["parameters"]["decision_id"]
            self.answered[decision] = (connection.port, time.monotonic())
        else:
            self.failed.append(f"{time.monotonic() - self._began_s:.1f} s: {response.status} {content[:200]!r}")
        return response.headers.get("connection", "").lower() != "close"
