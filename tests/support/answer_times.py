"""How long answers take while something else happens to the server."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.support.polling import wait_until


@contextmanager
def answer_times(
    connected: Callable[[], AbstractContextManager[Callable[[], object]]], failure: type[Exception]
) -> Iterator[list[float]]:
    """Ask again and again on a connection of its own. Yield the seconds of each answer; infinite if there was none.

    `connected` opens the connection and yields what asks once. It raises `failure` if there is no answer.
    """
    taken_s: list[float] = []
    is_over = threading.Event()

    def run() -> None:
        with connected() as ask:
            while not is_over.wait(0.01):
                began_s = time.monotonic()
                try:
                    ask()
                except failure:
                    taken_s.append(math.inf)
                else:
                    taken_s.append(time.monotonic() - began_s)

    asking = threading.Thread(target=run)
    asking.start()
    try:
        wait_until(lambda: len(taken_s) > 3)
        del taken_s[:]  # connecting is not measured
        yield taken_s
    finally:
        is_over.set()
        asking.join()
