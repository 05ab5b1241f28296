"""Numbered requests, sent at full speed over connections that may break, and a prober that measures one at a time."""

import socket
import threading
import time
from contextlib import suppress
from typing import Final

import numpy as np

from loadtests.soak.traffic import BATCH, connected, read_responses, small_requests

_PAUSE_S: Final = 0.1
_PROBE_EVERY_S: Final = 0.02
_LIMIT_S: Final = 300.0
"""How long a thread goes on without an answer, as while the gateway starts again."""
_OK: Final = b"HTTP/1.1 200"


class Numbers:
    """The numbers of the requests, and which of them were answered. Several threads use it."""

    def __init__(self, requests: int) -> None:
        self.answered = np.zeros(requests, bool)
        self._next = 0
        self._end = 0
        self._lock = threading.Lock()

    def allow(self, end: int) -> None:
        """Let numbers up to `end` be taken."""
        self._end = min(end, len(self.answered))

    def take(self, count: int) -> range:
        """Return the next numbers, none if there are no more."""
        with self._lock:
            taken = range(self._next, min(self._next + count, self._end))
            self._next = max(self._next, taken.stop)
            return taken

    @property
    def taken(self) -> int:
        """How many were taken."""
        return self._next


def send(port: int, numbers: Numbers) -> None:
    """Send requests in pipelines until there are no more numbers. What broke off is not sent again."""
    templates, opened, good_s = small_requests(), None, time.monotonic()
    while taken := numbers.take(BATCH):
        try:
            opened = opened or connected(port)
            opened.sendall(b"".join([templates[each % len(templates)].fill(each) for each in taken]))
            heads = read_responses(opened, len(taken))
            answered = 0
            while heads.startswith(_OK):
                answered, heads = answered + 1, heads.partition(b"\r\n\r\n")[2]
            numbers.answered[taken.start : taken.start + answered] = True
            if answered < len(taken):
                raise ConnectionError("it broke off")
            good_s = time.monotonic()
        except OSError:
            if time.monotonic() - good_s > _LIMIT_S:
                return
            _close(opened)
            opened = None
            time.sleep(_PAUSE_S)
    _close(opened)


class Prober:
    """Sends one request at a time, about fifty a second, and notes how long each took while `label` was set."""

    def __init__(self, port: int, numbers: Numbers) -> None:
        self.label = ""
        self.taken_s: dict[str, list[float]] = {}
        self._port = port
        self._numbers = numbers
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        template, opened = small_requests()[0], None
        while not self._stopped.wait(_PROBE_EVERY_S):
            for number in self._numbers.take(1):
                label, began_s = self.label, time.perf_counter()
                try:
                    opened = opened or connected(self._port)
                    opened.sendall(template.fill(number))
                    if not read_responses(opened, 1).startswith(_OK):
                        raise ConnectionError("it broke off")
                except OSError:
                    _close(opened)
                    opened = None
                    continue
                self._numbers.answered[number] = True
                if label and label == self.label:
                    self.taken_s.setdefault(label, []).append(time.perf_counter() - began_s)
        _close(opened)


def _close(opened: socket.socket | None) -> None:
    if opened is not None:
        with suppress(OSError):
            opened.close()
