"""Asks a Redis server, again if it may help, and not for long. Acts.

A write says until when, by the server's own clock, it may be made: `lua/clock.lua` is asked just before, and what
is allowed is the time that the client waits for the answer. A server that was stopped and wakes up later finds the
bytes in its buffers and refuses them. The clock was read before its answer arrived, so the limit is, if anything,
too early.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as NoAnswer
from redis.retry import Retry

from store.errors import StoreUnavailable
from store.redis.address import RedisAddress
from store.redis.client import ERRORS, PASSING, TIMEOUT_S, RedisClient, Word, make_client, may_pass, sentence
from store.redis.key_names import Keys
from store.redis.outage import Outage
from store.redis.scripts import script

_LAST_TRY_S = 1.25
"""How long after the first a try may begin: one that comes to nothing after `TIMEOUT_S` is repeated once."""
_PATIENCE_S = _LAST_TRY_S + TIMEOUT_S
_TRIES = 5
_TIMEOUT_US = int(TIMEOUT_S * 1e6)
_BACKOFF = ExponentialWithJitterBackoff(cap=0.5, base=0.05)

_T = TypeVar("_T")


class RedisConnection:
    """The clients that one store needs; used by any number of threads."""

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._keys = Keys(address.prefix)
        self._outage = Outage(_PATIENCE_S)
        self._lock = threading.Lock()
        self._made: RedisClient | None = None
        self._closed = threading.Event()

    def close(self) -> None:
        """Ends all connections."""
        self._closed.set()
        with self._lock:
            if self._made is not None:
                self._made.close()
                self._made = None

    def _ask(self, *words: Word) -> Any:
        """The answer to a command that may be repeated."""
        return self._try(lambda client: client.execute_command(*words))

    def _ask_all(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """The answers to several commands, on one way there and back."""
        return self._try(lambda client: _pipelined(client, commands)) if commands else []

    def _write(self, name: str, keys: Sequence[str], *arguments: Word, tells: str = "") -> Any:
        """Runs a script that writes and that may be repeated. Its first argument is its time limit.

        `tells` is the command that tells a person whether a change was made whose answer did not come.
        """
        sent = _Sent(tells)

        def attempt(client: RedisClient) -> Any:
            now_us = script("clock")(client, [self._keys.store], [])
            sent.try_until(time.monotonic() + TIMEOUT_S)
            try:
                answer = script(name)(client, keys, [now_us + _TIMEOUT_US, *arguments])
            except ResponseError:
                sent.answered()
                raise
            sent.answered()
            if answer[0] == "late":
                raise NoAnswer("it was busy for so long that it refused the change")
            return answer

        return self._try(attempt, sent.said if tells else str)

    def _try(self, do: Callable[[RedisClient], _T], say: Callable[[str], str] = str) -> _T:
        retries = _TRIES - 1 if self._outage.enter() else 0
        until_s = time.monotonic() + _LAST_TRY_S
        try:
            answer = Retry(_BACKOFF, retries, PASSING).call_with_retry(
                lambda: do(self._client()),
                lambda _: None,
                is_retryable=lambda error: may_pass(error) and time.monotonic() <= until_s,
            )
        except ERRORS as error:
            why = sentence(error, self._address)
            if not isinstance(error, ResponseError):  # which is an answer
                self._outage.failed(why)
            raise StoreUnavailable(say(why)) from error
        self._outage.answered()
        return answer

    def _client(self) -> RedisClient:
        with self._lock:
            if self._closed.is_set():
                raise StoreUnavailable("The Redis store does not answer: it was closed.")
            if self._made is None:
                self._made = make_client(self._address)
            return self._made


class _Sent:
    """What has become of the tries of one write. Only one thread looks."""

    def __init__(self, tells: str) -> None:
        self._tells = tells
        self._unanswered = 0
        self._until_s = 0.0

    def try_until(self, until_s: float) -> None:
        """One is sent, which the server refuses from then on."""
        self._unanswered += 1
        self._until_s = until_s

    def answered(self) -> None:
        """It is known what has become of it."""
        self._unanswered -= 1

    def said(self, why: str) -> str:
        """What a caller is told who has got no answer; not before the server would refuse all tries."""
        if not self._unanswered:
            return f"{why} Nothing was changed."
        time.sleep(max(0.0, self._until_s - time.monotonic()))
        return f"{why} The change may or may not have been made; `{self._tells}` tells."


def _pipelined(client: RedisClient, commands: Sequence[Sequence[Word]]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for words in commands:
        pipeline.execute_command(*words)
    return pipeline.execute()
