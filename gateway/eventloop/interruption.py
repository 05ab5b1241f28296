"""Python code on the event loop that another thread can break off.

Only pure functions run this way: they share nothing with the rest of the process, so it does not matter where they are
broken off. CPython raises the exception in the other thread at a moment of its own choice. So it must not be raised
when the function has already returned, in the loop's own code. Rules:

1. `run` notes the number of the piece of work before it calls the function, and clears it afterwards.
2. `break_off` first sets `_is_aimed`, then looks if the piece still runs, and only then raises.
3. `run` looks at `_is_aimed` after it has cleared the number. If it is set, `run` waits until `break_off` is done, and
   raises and catches an exception that has not been raised yet.

Between a function's end and rule 3 there is no call and no jump backwards, which are the only places where CPython
raises such an exception. Within rule 3 it may be raised once, because a cleared number is not aimed at again.
"""

import ctypes
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from gateway.errors import BrokenOff

T = TypeVar("T")

_WAIT_S = 0.0005
_TURNS = 1_000_000
"""Of a loop in which the exception is raised: after the first or second one."""


class _BreakOff(BaseException):
    """What is raised in the code. It derives from BaseException, so that `except Exception` does not stop it."""


class Interruption:
    """The piece of work on one event loop that may be broken off. `running` is its number, or 0."""

    def __init__(self) -> None:
        self.running = 0
        self._count = 0
        self._is_aimed = False
        self._is_aiming = False

    def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Return or raise what the function does. Call this on the event loop.

        Raises:
            BrokenOff: it was broken off.
        """
        outer, error = self.running, None
        self.running = self._count = self._count + 1
        try:
            result = work(*arguments)
        except BaseException as raised:  # noqa: BLE001  # raised again below
            error = raised
        self.running = outer
        if self._is_aimed:
            try:
                self._disarm()
            except _BreakOff:
                self._disarm()
        if error is None:
            return result
        try:
            if isinstance(error, _BreakOff):
                raise BrokenOff("The request kept the gateway from serving others, and was broken off.") from None
            raise error
        finally:
            error = None  # its traceback refers to this frame: a cycle would keep the request in memory

    def break_off(self, thread: int, number: int) -> bool:
        """Raise in the loop's thread if it still runs that piece of work. Return True if so. Call in another thread."""
        self._is_aiming = self._is_aimed = True
        try:
            if self.running != number:
                return False
            _raise_in(thread)
            return True
        finally:
            self._is_aiming = False

    def _disarm(self) -> None:
        """Take an exception that has not been raised."""
        while self._is_aiming:
            time.sleep(_WAIT_S)
        # Raise it here. To set None instead would leave CPython's flag on, and then each call looks for an exception,
        # as long as the process lives; under `sys.settrace` no call would begin any more (CPython 3.11).
        with suppress(_BreakOff):
            _raise_in(threading.get_ident())
            for _ in range(_TURNS):
                pass
        self._is_aimed = False


def _raise_in(thread: int) -> None:
    """Have `_BreakOff` raised in a thread, in place of one that it was to raise before."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(_BreakOff))


INTERRUPTION = Interruption()
"""That of this process, which has one event loop."""
