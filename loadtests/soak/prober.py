"""Asks for health on both ports, again and again, from a process and connections of its own."""

import http.client
import math
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import grpc

_EVERY_S: Final = 0.01
_LIMIT_S: Final = 60.0
_CHANNEL_OPTIONS: Final = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))


class Worst(NamedTuple):
    """The longest time that health took on each port, in seconds. It is infinite if an answer did not come."""

    http_s: float
    grpc_s: float

    @property
    def both_s(self) -> float:
        """The longer one of the two."""
        return max(self.http_s, self.grpc_s)


class Prober:
    """The process that asks. `worst_s` are shared with it."""

    def __init__(self, worst_s: Any, counts: Any) -> None:
        self._worst_s = worst_s
        self._counts = counts

    def restart(self) -> None:
        """Forget what was seen."""
        for index in range(2):
            self._worst_s[index] = 0.0

    def worst(self) -> Worst:
        """Return the worst since `restart`. Wait until each port has answered twice more."""
        seen = list(self._counts)
        until_s = time.monotonic() + _LIMIT_S
        while any(now < then + 2 for now, then in zip(self._counts, seen, strict=True)) and time.monotonic() < until_s:
            time.sleep(_EVERY_S)
        return Worst(*self._worst_s)


@contextmanager
def probing(port: int, grpc_port: int) -> Iterator[Prober]:
    """Ask until the end of the block."""
    context = multiprocessing.get_context("spawn")
    worst_s, counts, is_over = context.Array("d", 2), context.Array("q", 2), context.Event()
    process = context.Process(target=_run, args=(port, grpc_port, worst_s, counts, is_over), daemon=True)
    process.start()
    prober = Prober(worst_s, counts)
    try:
        prober.worst()  # both are connected now
        prober.restart()
        yield prober
    finally:
        is_over.set()
        process.join(2 * _LIMIT_S)


def _run(port: int, grpc_port: int, worst_s: Any, counts: Any, is_over: Any) -> None:
    asks = (_http(port), _grpc(grpc_port))
    threads = [threading.Thread(target=_ask, args=(ask, at, worst_s, counts, is_over)) for at, ask in enumerate(asks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _ask(ask: Callable[[], bool], at: int, worst_s: Any, counts: Any, is_over: Any) -> None:
    while not is_over.wait(_EVERY_S):
        began_s = time.monotonic()
        taken_s = time.monotonic() - began_s if ask() else math.inf
        worst_s[at] = max(worst_s[at], taken_s)
        counts[at] += 1


def _http(port: int) -> Callable[[], bool]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LIMIT_S)

    def ask() -> bool:
        try:
            connection.request("GET", "/v2/health/live")
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return False
        return response.status == http.client.OK

    return ask


def _grpc(port: int) -> Callable[[], bool]:
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=_CHANNEL_OPTIONS)
    check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")

    def ask() -> bool:
        try:
            check(b"", timeout=_LIMIT_S)
        except grpc.RpcError:
            return False
        return True

    return ask
