"""Keep-alive clients that never stop asking, and what became of every request. For tests, not for benchmarks."""

import http.client
import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType


@dataclass
class Answered:
    decision_id: str
    arm: str
    sent_s: float
    port: int


@dataclass
class Failed:
    what: str
    at_s: float
    port: int


@dataclass
class Load:
    """`with Load(port, body) as load: ...` — threads that ask until the block ends. Times are of `time.monotonic`."""

    port: int
    body: bytes
    path: str = "/v2/models/cancer/infer"
    clients: int = 8
    answered: list[Answered] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def wait_for(self, more: int, limit_s: float = 60.0) -> None:
        """Until `more` further requests have been answered."""
        wanted, until_s = len(self.answered) + more, time.monotonic() + limit_s
        while len(self.answered) < wanted:
            assert time.monotonic() < until_s, f"only {len(self.answered)} of {wanted} answers; {self.failed[-3:]}"
            time.sleep(0.01)

    def _ask(self) -> None:
        while not self._stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                connection.connect()  # refused connects are retried, as any client does
            except OSError:
                connection.close()
                time.sleep(0.01)
                continue
            port = connection.sock.getsockname()[1]
            try:
                while not self._stop.is_set() and self._ask_once(connection, port):
                    pass
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(Failed(repr(error), time.monotonic(), port))
            finally:
                connection.close()

    def _ask_once(self, connection: http.client.HTTPConnection, port: int) -> bool:
        """One request; False if the server asked for the connection to be closed."""
        sent_s = time.monotonic()
        connection.request("POST", self.path, self.body, {"content-type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        if response.status == 200:
            arm = response.headers["x-arm"]
            self.answered.append(Answered(json.loads(content)["parameters"]["decision_id"], arm, sent_s, port))
        else:
            self.failed.append(Failed(f"{response.status} {content[:200]!r}", time.monotonic(), port))
        return response.headers.get("connection", "").lower() != "close"


@dataclass
class Seen:
    """One answer of a paced load. `sent_s` is of `time.monotonic`."""

    sent_s: float
    took_s: float
    status: int
    arm: str
    reason: str
    decision_id: str


@dataclass
class PacedLoad:
    """`with PacedLoad(...)` — asks so many times a second, whether the answers keep up or not, until the block ends."""

    port: int
    body: bytes
    path: str
    per_second: float
    clients: int = 16
    seen: list[Seen] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def __enter__(self) -> "PacedLoad":
        self._stop = threading.Event()
        self._began_s = time.monotonic()
        self._turn = itertools.count()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def failures(self) -> list[str]:
        """What a caller would call a failure."""
        return self.lost + [f"{each.status} from {each.arm}" for each in self.seen if each.status != 200]

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
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
                    sent_s,
                    time.monotonic() - sent_s,
                    response.status,
                    headers.get("x-arm", ""),
                    headers.get("x-reason", ""),
                    headers.get("x-decision-id", ""),
                )
            )
        connection.close()
