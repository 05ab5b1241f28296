"""Has a version checked in a process of its own, with limits of time and memory, and without passwords.

What the process sends is not trusted: a model may write to any descriptor. So it has a limit of bytes, and of time even
if it writes without end. The process has an empty working directory, and is killed in any case.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from gateway.execution.checking.logged_files import with_local_log
from gateway.execution.checking.messages import Message, Replayed, Result, RowsTried, ToCheck, decode
from gateway.execution.checking.steps import BATCHING, LOG_READ, LOGGED, Began, Step, unbatched
from gateway.execution.model_environment import passed_on
from gateway.execution.process.child import THREADS, ChildProcess
from gateway.execution.process.network import NO_NETWORK
from gateway.execution.process.parent import too_much_memory
from registry_sync.version import Tried
from runtimes.load_options import LoadOptions
from runtimes.python.folder import temporary_folder

_WORKER = "gateway.execution.checking.worker"
_NETWORK_ADVICE = "A version is tried without network; POINTSMAN_LOAD_NETWORK=true gives it one."
_ROWS_WITHIN_S = 60.0
"""For the trial of `runtimes.row_by_row`, which takes ten seconds at most where a run can be broken off."""
_LOGGED_WITHIN_S = 60.0
"""Logged requests are asked for half of this time, and the log is read for a third of it."""
_END_WITHIN_S = 10.0
"""For a process that has closed its connection. What a crash is, its status says."""
_WITHIN_S = {BATCHING: _ROWS_WITHIN_S, LOG_READ: _LOGGED_WITHIN_S, LOGGED: _LOGGED_WITHIN_S}
"""The limits of steps that have one of their own."""
_PIECE_BYTES = 1 << 20
_MOST_BYTES = 64 << 20
"""Golden requests take 4 MiB at most (6 MiB in JSON), and a manifest 1 MiB."""
_MOST_MESSAGES = 100
_MOST_DETAIL = 4000


class Checked(NamedTuple):
    """The steps that ended, the result if none failed, why requests are never merged, and what logged ones showed."""

    steps: tuple[Step, ...]
    result: Result | None = None
    unbatched_because: str = ""
    replayed: Replayed | None = None

    @property
    def failure(self) -> str:
        """Why the version may not be served, or an empty text."""
        return next((each.detail for each in self.steps if each.state == "failed"), "")

    @property
    def tried(self) -> Tried | None:
        """What is known of a version that may be served."""
        if self.result is None:
            return None
        return Tried(self.unbatched_because, self.result.memory_bytes, self.result.process_bytes)

    def detail_of(self, step: str) -> str:
        """Return what a step found, or an empty text."""
        return next((each.detail for each in self.steps if each.step == step), "")


def check_in_process(to_check: ToCheck, on_step: Callable[[str], None], nice: int = 0) -> Checked:
    """Check a version. `on_step` is called when a step begins.

    The libraries of the process start one thread each while they are imported: a process with several cannot leave its
    network without privileges (unshare(2), CLONE_NEWUSER).

    Raises:
        OSError: no process can be started.
    """
    environment = {**passed_on(os.environ), **dict.fromkeys(THREADS, "1")}
    with temporary_folder() as folder, temporary_folder() as log:
        if to_check.logged is not None:
            to_check = msgspec.structs.replace(to_check, logged=with_local_log(to_check.logged, log))
        child = ChildProcess(
            _WORKER,
            to_check.what.source,
            environment=environment,
            nice=nice,
            folder=str(folder),
            content=msgspec.json.encode(to_check),
        )
        try:
            return _Following(child, to_check.options, on_step).checked()
        finally:
            child.kill()
            child.wait()
            child.close()


class _Broken(Exception):
    """The process does not do what it should. The sentence says what it does."""


class _Following:
    """Follows one process from its start to its end."""

    def __init__(self, child: ChildProcess, options: LoadOptions, on_step: Callable[[str], None]) -> None:
        self._child = child
        self._options = options
        self._on_step = on_step
        self._steps: list[Step] = []
        self._result: Result | None = None
        self._because = ""
        self._replayed: Replayed | None = None
        self._taken = 0
        self._running = "start"
        self._began_s = time.monotonic()
        self._limit_s = options.within_s
        self._until_s = self._whole_until_s = self._began_s + options.within_s

    def checked(self) -> Checked:
        """Return what the process has found out when it has ended, or at its limit of time."""
        sentence = ""
        try:
            for message in _messages(self._child.connection, self._remaining_s):
                self._take(message)
                if isinstance(message, RowsTried) or self._has_failed():
                    break  # a thread that the model has started may keep the process from ending
        except _Broken as error:
            sentence = str(error)
        if not self._has_failed() and (self._running or self._result is None):
            self._end(sentence or self._ending())
        result = None if self._has_failed() else self._result
        return Checked(tuple(self._steps), result, self._because, self._replayed)

    def _has_failed(self) -> bool:
        return bool(self._steps) and self._steps[-1].state == "failed"

    def _take(self, message: Message) -> None:
        self._taken += 1
        if self._taken > _MOST_MESSAGES:
            raise _Broken("Its process reports steps without end.")
        if isinstance(message, Began):
            self._running = message.step
            self._began_s = time.monotonic()
            if self._running in _WITHIN_S:
                self._limit_s = _WITHIN_S[self._running]
                self._until_s = min(self._whole_until_s, self._began_s + self._limit_s)
            self._on_step(self._running)
        elif isinstance(message, Step):
            self._add(message)
            self._running = ""
        elif isinstance(message, RowsTried):
            self._because = message.unbatched_because
        elif isinstance(message, Replayed):
            self._replayed = message
        else:
            self._result = message

    def _add(self, step: Step) -> None:
        step = explained(step, self._options)
        if step.step == BATCHING and step.state == "failed" and self._result is not None:
            step = self._not_batched(step.detail)
        self._steps.append(step)

    def _end(self, sentence: str) -> None:
        """Note that the process has ended, or was broken off, in the middle of a step."""
        if self._running == BATCHING and self._result is not None:
            self._steps.append(self._not_batched(sentence))
            return
        took_s = time.monotonic() - self._began_s
        where = f"{sentence.removesuffix('.')} while it was loading the model, at the step {self._running or 'end'}."
        self._steps.append(Step(self._running or "end", "failed", where, took_s))

    def _not_batched(self, why: str) -> Step:
        self._because = f"it could not be tried with rows together: {why}"
        return Step(BATCHING, "remark", unbatched(self._because), time.monotonic() - self._began_s)

    def _remaining_s(self) -> float:
        """Return the time that is left.

        Raises:
            _Broken: there is none.
        """
        remaining_s = self._until_s - time.monotonic()
        if remaining_s > 0:
            return remaining_s
        if self._running in _WITHIN_S:
            raise _Broken(f"Its process does not answer within {self._limit_s:g} s.")
        raise _Broken(f"It was not loaded and tried within {self._limit_s:g} s (POINTSMAN_LOAD_WITHIN_S).")

    def _ending(self) -> str:
        """Return how the process has ended that has closed its connection. One that goes on is killed."""
        until_s = time.monotonic() + _END_WITHIN_S
        while not self._child.has_ended() and time.monotonic() < until_s:
            time.sleep(0.02)
        self._child.kill()
        return self._child.wait()


def explained(step: Step, options: LoadOptions) -> Step:
    """Return a step; if it failed for want of memory or network, with what an operator can do."""
    detail = step.detail
    if step.state == "failed":
        detail = too_much_memory(detail, options.max_bytes) or detail
        if not options.has_network and any(word in detail for word in NO_NETWORK):
            detail = f"{detail[:_MOST_DETAIL]} {_NETWORK_ADVICE}"
    return msgspec.structs.replace(step, detail=detail[: 2 * _MOST_DETAIL])


def _messages(connection: socket.socket, remaining_s: Callable[[], float]) -> Iterator[Message]:
    """Give the messages of the process, until it closes the connection.

    Raises:
        _Broken: it sends too much, or something else, or `remaining_s` raises it.
    """
    unread, received = bytearray(), 0
    while True:
        connection.settimeout(remaining_s())
        try:
            piece = connection.recv(_PIECE_BYTES)
        except TimeoutError:
            continue
        except OSError:  # it was killed while it was sending
            return
        received += len(piece)
        if not piece:
            return
        if received > _MOST_BYTES:
            raise _Broken("Its process sends without end.")
        unread += piece
        *lines, unread = unread.split(b"\n") if b"\n" in piece else [unread]
        for line in lines:
            try:
                yield decode(line)
            except msgspec.DecodeError as error:
                raise _Broken("Its process sends what is no message.") from error
