"""Commands to a Redis server, repeated where that may help, but not for long.

Every write carries a deadline by the server's own clock. `lua/clock.lua` reads that clock just before the write, and
the write is valid for as long as the client waits. A server that was stopped and resumes later finds the write in its
buffers and refuses it. The clock is read before its reply arrives, so the deadline is, if anything, too early.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from redis.backoff import ExponentialWithJitterBackoff
from redis.client import NEVER_DECODE
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as NoReply
from redis.retry import Retry

from store.errors import StoreUnavailable
from store.redis.address import RedisAddress
from store.redis.client import ERRORS, TIMEOUT_S, TRANSIENT, Argument, RedisClient, describe, is_transient, make_client
from store.redis.key_names import KeyNames
from store.redis.outage import Outage
from store.redis.scripts import script

_LAST_TRY_S = 1.25
"""How long after the first try another one may begin. A try that times out after `TIMEOUT_S` is thus repeated once."""
_LONGEST_S = _LAST_TRY_S + TIMEOUT_S
_TRIES = 5
_TIMEOUT_US = int(TIMEOUT_S * 1e6)
_BACKOFF = ExponentialWithJitterBackoff(cap=0.5, base=0.05)

_T = TypeVar("_T")


class RedisConnection:
    """The client that one store needs. Any number of threads may use it."""

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._names = KeyNames(address.prefix)
        self._outage = Outage(_LONGEST_S)
        self._lock = threading.Lock()
        self._opened: RedisClient | None = None
        self._closed = threading.Event()

    def close(self) -> None:
        """Close all connections."""
        self._closed.set()
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _execute(self, *command: Argument) -> Any:
        """Return the reply to a command that may be repeated."""
        return self._try(lambda client: client.execute_command(*command))

    def _execute_undecoded(self, *command: Argument) -> Any:
        """Return the reply to a command that may be repeated, with bytes in place of texts."""
        return self._try(lambda client: client.execute_command(*command, **{NEVER_DECODE: True}))

    def _execute_all(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Return the replies to several commands that may be repeated, in one round trip."""
        return self._try(lambda client: _pipelined(client, commands)) if commands else []

    def _write(self, name: str, keys: Sequence[str], *arguments: Argument, check_with: str = "") -> Any:
        """Run a script that writes and may be repeated. Its first argument is its deadline.

        `check_with` is the command that shows an operator whether a change was made whose reply did not arrive.
        """
        tries = _Tries(check_with)

        def attempt(client: RedisClient) -> Any:
            now_us = script("clock")(client, [self._names.store], [])
            tries.begin(time.monotonic() + TIMEOUT_S)
            try:
                reply = script(name)(client, keys, [now_us + _TIMEOUT_US, *arguments])
            except ResponseError:
                tries.end()
                raise
            tries.end()
            if reply[0] == "late":
                raise NoReply("it was busy for so long that it refused the change")
            return reply

        return self._try(attempt, tries.describe if check_with else str)

    def _try(self, do: Callable[[RedisClient], _T], explain: Callable[[str], str] = str) -> _T:
        retries = _TRIES - 1 if self._outage.enter() else 0
        until_s = time.monotonic() + _LAST_TRY_S
        try:
            reply = Retry(_BACKOFF, retries, TRANSIENT).call_with_retry(
                lambda: do(self._client()),
                lambda _: None,
                is_retryable=lambda error: is_transient(error) and time.monotonic() <= until_s,
            )
        except ERRORS as error:
            reason = describe(error, self._address)
            if not isinstance(error, ResponseError):  # an error that the server sent shows that it does reply
                self._outage.failed(reason)
            raise StoreUnavailable(explain(reason)) from error
        self._outage.succeeded()
        return reply

    def _client(self) -> RedisClient:
        with self._lock:
            if self._closed.is_set():
                raise StoreUnavailable("The Redis store does not answer: it was closed.")
            if self._opened is None:
                self._opened = make_client(self._address)
            return self._opened


class _Tries:
    """The tries of one write, and how many of them have an unknown result. Used by one thread."""

    def __init__(self, check_with: str) -> None:
        self._check_with = check_with
        self._unknown = 0
        self._until_s = 0.0

    def begin(self, until_s: float) -> None:
        """Note that a try is about to be sent. The server refuses it from `until_s` on."""
        self._unknown += 1
        self._until_s = until_s

    def end(self) -> None:
        """Note that the result of the last try is known."""
        self._unknown -= 1

    def describe(self, reason: str) -> str:
        """Return the error sentence for a write without a reply, once the server would refuse all of its tries."""
        if not self._unknown:
            return f"{reason} Nothing was changed."
        time.sleep(max(0.0, self._until_s - time.monotonic()))
        return f"{reason} The change may or may not have been made; check with `{self._check_with}`."


def _pipelined(client: RedisClient, commands: Sequence[Sequence[Argument]]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return pipeline.execute()
