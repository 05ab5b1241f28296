"""Keep-alive clients that send requests until they are stopped, and what became of each. For tests, not benchmarks."""

import http.client
import itertools
import json
import time
from dataclasses import dataclass, field
from typing import Self

from tests.support.client_threads import ClientThreads
from tests.support.polling import wait_until

TIMEOUT_S = 60.0


@dataclass
class Answered:
    """A request with status 200. Times are of `time.monotonic`."""

    decision_id: str
    arm: str
    sent_s: float
    port: int


@dataclass
class Failed:
    """A request with another status, or without a response."""

    what: str
    at_s: float
    port: int
    earlier: int
    """How many requests the same connection had carried before. At 0, the server may never have accepted it."""


@dataclass
class Load(ClientThreads):
    """`with Load(port, body) as load: ...`: threads that send requests, one after the other, until the block ends."""

    port: int
    body: bytes
    path: str = "/v2/models/cancer/infer"
    clients: int = 8
    answered: list[Answered] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def wait_for(self, more: int) -> None:
        """Wait until `more` further requests have been answered."""
        wanted = len(self.answered) + more
        wait_until(
            lambda: len(self.answered) >= wanted,
            within_s=180.0,
            shows=lambda: f"{len(self.answered)} of {wanted} are answered; the last failures: {self.failed[-3:]}",
        )

    def _run(self, _: int) -> None:
        while not self._stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
            try:
                connection.connect()  # a connection that is refused is tried again, as any client does
            except OSError:
                connection.close()
                time.sleep(0.01)
                continue
            port, earlier = connection.sock.getsockname()[1], 0
            try:
                while not self._stop.is_set() and self._send(connection, port, earlier):
                    earlier += 1
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(Failed(repr(error), time.monotonic(), port, earlier))
            finally:
                connection.close()

    def _send(self, connection: http.client.HTTPConnection, port: int, earlier: int) -> bool:
        """Send one request. Return False if the server wants the connection closed."""
        sent_s = time.monotonic()
        connection.request("POST", self.path, self.body, {"content-type": "application/json", **self.headers})
        response = connection.getresponse()
        content = response.read()
        if response.status == 200:
            arm = response.headers["x-arm"]
            self.answered.append(Answered(json.loads(content)["parameters"]["decision_id"], arm, sent_s, port))
        else:
            self.failed.append(Failed(f"{response.status} {content[:200]!r}", time.monotonic(), port, earlier))
        return response.headers.get("connection", "").lower() != "close"


@dataclass
class Seen:
    """One response of a paced load. `sent_s` is of `time.monotonic`."""

    sent_s: float
    took_s: float
    status: int
    arm: str
    reason: str
    decision_id: str
    version: str


@dataclass
class PacedLoad(ClientThreads):
    """`with PacedLoad(...)`: sends so many requests a second until the block ends.

    It waits for no response before it sends the next request, as long as one of its clients is free.
    """

    port: int
    body: bytes
    path: str
    per_second: float
    clients: int = 16
    seen: list[Seen] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._began_s, self._turn = time.monotonic(), itertools.count()
        return super().__enter__()

    def failures(self) -> list[str]:
        """Return what a caller would call a failure."""
        return self.lost + [f"{each.status} from {each.arm}" for each in self.seen if each.status != 200]

    def _run(self, _: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        while True:
            due_s = self._began_s + next(self._turn) / self.per_second
            if self._stop.wait(max(0.0, due_s - time.monotonic())):
                break
            sent_s = time.monotonic()
            try:
                connection.request("POST", self.path, self.body, {"content-type": "application/json"})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                connection.close()
                continue
            headers = response.headers
            self.seen.append(
                Seen(
                    sent_s=sent_s,
                    took_s=time.monotonic() - sent_s,
                    status=response.status,
                    arm=headers.get("x-arm", ""),
                    reason=headers.get("x-reason", ""),
                    decision_id=headers.get("x-decision-id", ""),
                    version=headers.get("x-model-version", ""),
                )
            )
        connection.close()
