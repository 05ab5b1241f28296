"""Work that may take long or hang, in daemon threads. The thread that asks for it does not wait.

Each piece of work has a name and a thread of its own. Few begin at a time. Work that takes long no longer counts among
these few, so work that hangs does not keep the rest from beginning.
"""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_AT_ONCE = 2
_LONG_S = 5.0
_MOST = 64
"""Work that hangs for good must not take all threads of the machine."""
_POLL_S = 0.05
_MOST_DOUBLED = 20

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")
Start = Callable[[Callable[[], None]], None]


class Pending(Exception):
    """The work has not ended. It was asked for `age_s` seconds ago."""

    def __init__(self, age_s: float) -> None:
        super().__init__(age_s)
        self.age_s = age_s

    def __str__(self) -> str:
        """Return a clause such as `since 15 s`. It changes every five seconds, so that few reports differ by it."""
        return f"since {int(self.age_s) // 5 * 5 if self.age_s >= 5 else int(self.age_s)} s"


def at_once(run: Callable[[], None]) -> None:
    """Run the work in the thread that asks: for tests, and for processes that do nothing else."""
    run()


def in_daemon_thread(run: Callable[[], None]) -> None:
    """Run the work in a thread that does not delay the end of the process."""
    threading.Thread(target=run, name="background", daemon=True).start()


class _Job(Generic[Result]):
    def __init__(
        self, work: Callable[[], Result], asked_s: float, before: Exception | None = None, failures: int = 0
    ) -> None:
        self.work = work
        self.asked_s = asked_s
        self.before = before
        self.failures = failures
        self.began_s: float | None = None
        self.ended_s = 0.0
        self.ended = threading.Event()
        self.results: list[Result] = []
        self.error: Exception | None = None
        self.waiting = 0
        self.is_unwanted = False


class Background(Generic[Key, Result]):
    """Any thread may use it. Work that failed begins again when it is asked for `retry_after_s` later.

    After an error of the type `lasting`, the next time is twice as long, up to `longest_s`. `discard` gets each result
    that is not wanted any more.
    """

    def __init__(
        self,
        start: Start,
        retry_after_s: float,
        discard: Callable[[Result], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        lasting: type[Exception] | tuple[()] = (),
        longest_s: float = 0.0,
    ) -> None:
        self._start = start
        self._retry_after_s = retry_after_s
        self._lasting = lasting
        self._longest_s = longest_s
        self._discard = discard
        self._clock = clock
        self._lock = threading.Lock()
        self._jobs: dict[Key, _Job[Result]] = {}
        # Of the jobs above, so that none of the calls, of which there may be thousands in a row, looks at all of them.
        self._not_begun: dict[Key, _Job[Result]] = {}
        self._running: set[_Job[Result]] = set()
        self._fresh: set[_Job[Result]] = set()
        self._was_waited_for = False
        self._is_closed = False

    def ask(self, key: Key, work: Callable[[], Result]) -> Result:
        """Return the result of the work, once. Begin the work if it was not asked for yet.

        Raises:
            Pending: it has not ended.
            Exception: what the work raised the last time, also while it is done again.
        """
        job = self._job(key, work, self._retry_after_s)
        self._admit()
        if not job.ended.is_set():
            if job.before is not None:
                raise job.before.with_traceback(None)
            raise Pending(self._clock() - job.asked_s)
        return self._take(key, job)

    def wait(self, key: Key, work: Callable[[], Result], within_s: float) -> Result:
        """Return the result of the work, for threads that may wait. Work that failed is done again.

        Raises:
            Pending: it has not ended within the time, or not before `close`.
            Exception: what the work raised.
        """
        job = self._job(key, work, 0.0)
        until_s = time.monotonic() + within_s
        job.waiting += 1
        try:
            self._admit()
            while not job.ended.wait(_POLL_S):
                self._admit()
                if self._is_closed or time.monotonic() > until_s:
                    raise Pending(self._clock() - job.asked_s)
        finally:
            job.waiting -= 1
        self._was_waited_for = True
        return self._take(key, job)

    def close(self) -> None:
        """Let no thread wait any more."""
        self._is_closed = True

    def unfinished(self) -> list[tuple[Key, str]]:
        """Return the work that has not ended, or has failed, with how long it was asked for, or what it raised."""
        with self._lock:
            jobs = [(key, job) for key, job in self._jobs.items() if job.error is not None or not job.ended.is_set()]
            now_s = self._clock()
        return [(key, str(job.error or job.before or Pending(now_s - job.asked_s))) for key, job in jobs]

    def has_news(self) -> bool:
        """Return True if work has ended that `ask` may return now. Call this now and then: it begins what waits."""
        self._admit()
        with self._lock:
            has_news = self._was_waited_for or bool(self._fresh)
            self._fresh, self._was_waited_for = set(), False
        return has_news

    def retain(self, is_wanted: Callable[[Key], bool]) -> None:
        """Forget all other work. What runs goes on, and its result is discarded."""
        with self._lock:
            gone = {key: job for key, job in self._jobs.items() if not is_wanted(key) and not job.waiting}
            for key, job in gone.items():
                del self._jobs[key]
                self._not_begun.pop(key, None)
                self._running.discard(job)
                self._fresh.discard(job)
                job.is_unwanted = True
            results = [result for job in gone.values() if job.ended.is_set() for result in job.results]
        for result in results:
            self._discard(result)

    def _job(self, key: Key, work: Callable[[], Result], retry_after_s: float) -> _Job[Result]:
        with self._lock:
            job, now_s = self._jobs.get(key), self._clock()
            if job is None:
                job = self._jobs[key] = self._not_begun[key] = _Job(work, now_s)
            elif job.error is not None and now_s - job.ended_s >= self._pause_s(job, retry_after_s):
                failures = job.failures + 1 if isinstance(job.error, self._lasting) else 0
                job = self._jobs[key] = self._not_begun[key] = _Job(work, now_s, job.error, failures)
            return job

    def _pause_s(self, job: _Job[Result], retry_after_s: float) -> float:
        """Return for how long work that failed is not done again."""
        if not isinstance(job.error, self._lasting):
            return retry_after_s
        return min(retry_after_s * 2.0 ** min(job.failures, _MOST_DOUBLED), max(self._longest_s, retry_after_s))

    def _take(self, key: Key, job: _Job[Result]) -> Result:
        with self._lock:
            self._fresh.discard(job)
            if job.error is None and self._jobs.get(key) is job:
                del self._jobs[key]
        if job.error is not None:
            raise job.error.with_traceback(None)
        return job.results[0]

    def _admit(self) -> None:
        """Begin the work that has waited longest, as far as there is room."""
        while self._not_begun:
            with self._lock:
                now_s = self._clock()
                new = sum(now_s - (each.began_s or 0.0) < _LONG_S for each in self._running)
                if new >= _AT_ONCE or len(self._running) >= _MOST or not self._not_begun:
                    return
                key = next(iter(self._not_begun))
                job = self._not_begun.pop(key)
                self._running.add(job)
                job.began_s = now_s
            try:
                self._start(lambda job=job: self._run(job))  # type: ignore[misc]  # mypy cannot infer a default's type
            except RuntimeError as error:  # no thread could be started
                job.error = error
                self._end(job)

    def _run(self, job: _Job[Result]) -> None:
        try:
            job.results.append(job.work())
        except Exception as error:  # noqa: BLE001  # raised again where the work is asked for
            job.error = error
        except BaseException as error:  # noqa: BLE001  # a model that calls sys.exit() must not end who asks for it
            job.error = RuntimeError(repr(error))
        self._end(job)
        self._admit()

    def _end(self, job: _Job[Result]) -> None:
        with self._lock:
            job.ended_s = self._clock()
            self._running.discard(job)
            if not job.is_unwanted:
                self._fresh.add(job)
            job.ended.set()
            results = job.results if job.is_unwanted else []
        for result in results:
            self._discard(result)
