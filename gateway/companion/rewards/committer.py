"""Writes the rewards of all requests that wait into the log, has them counted, and learns what became of each.

A thread that has rewards puts them in line. The first of the threads to get the lock does the work of one round for all
that are in line, and the others find theirs done. So a round costs the store one step, however many requests it is for.

The rewards are in the segment before they are counted. If the process dies in between, or the store's reply is lost,
the next count goes on from where the store says that the counted part ends. The caller is told to send them again, and
what is counted by then is a duplicate.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.companion.rewards.judge import Accepted
from gateway.companion.rewards.results import RewardResults
from gateway.control.log_counter import LogCounter
from inference_log.record import Reward
from inference_log.reward_tally import Result
from inference_log.spool import segments
from inference_log.writer import LogWriter
from store.errors import StoreUnavailable

MOST_IN_A_ROUND = 4000
"""The rewards of one round, apart from those of its last request."""

_Settled = list[tuple[Result, str]]


class NotCounted(Exception):
    """It is not known that rewards were counted. The sentence says why."""


class _Waiting:
    """The rewards of a request. They are done when there are results or an error."""

    def __init__(self, rewards: Sequence[Accepted], until_s: float) -> None:
        self.rewards = rewards
        self.until_s = until_s
        self.numbers: list[int] = []
        self.results: _Settled = []
        self.error = ""
        self.is_done = False


class RewardCommitter:
    """One per machine. `counter` counts the segments of `writer` and tells `results`. Any thread calls `commit`."""

    def __init__(
        self,
        writer: LogWriter,
        counter: LogCounter,
        results: RewardResults,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._writer = writer
        self._counter = counter
        self._results = results
        self._clock_s = clock_s
        self._newest = ""
        self._line: deque[_Waiting] = deque()
        self._lock = threading.Lock()

    def commit(self, rewards: Sequence[Accepted], until_s: float) -> _Settled:
        """Return what became of each reward. After `until_s` nothing of them is written any more.

        Raises:
            NotCounted: it is not known.
        """
        waiting = _Waiting(rewards, until_s)
        self._line.append(waiting)
        while not waiting.is_done:
            with self._lock:
                if not waiting.is_done:
                    self._do_round()
        if waiting.error:
            raise NotCounted(waiting.error)
        return waiting.results

    def _do_round(self) -> None:
        taken, trouble = self._take(), "The companion process failed; its log says why."
        try:
            trouble = self._write_and_count(taken)
        finally:  # an error of ours is logged by the thread that does the round
            for each in taken:
                self._finish(each, trouble)

    def _take(self) -> list[_Waiting]:
        taken, count = [], 0
        while self._line and count < MOST_IN_A_ROUND:
            taken.append(self._line.popleft())
            count += len(taken[-1].rewards)
        return taken

    def _write_and_count(self, taken: Sequence[_Waiting]) -> str:
        """Return why some of them may not be counted."""
        if trouble := self._counter.trouble:  # `tick` finds out when the store answers again
            return trouble
        self._note_newest()
        for each in taken:
            if self._clock_s() > each.until_s:
                each.error = "The rewards have waited for too long."
            else:
                self._write(each)
        failures = [self._count(path) for path in self._written_since()]
        return next(filter(None, failures), "Another process counts the segment of the rewards.")

    def _write(self, waiting: _Waiting) -> None:
        """Write the rewards of a request."""
        for reward in waiting.rewards:

            def entry(context: int, number: int, reward: Accepted = reward) -> Reward:
                self._results.expect(number)
                waiting.numbers.append(number)
                return reward.entry(context, number)

            if not self._writer.append(reward.context, entry):
                waiting.error = "The disk of the log is full, or failing."
                return

    def _note_newest(self) -> None:
        active = self._writer.active_path
        if active is not None:
            self._newest = active.name

    def _written_since(self) -> list[Path]:
        """Return the segments that may have got rewards in this round. Another thread may close them meanwhile."""
        prefix = f"{self._writer.writer_id}-"
        return [
            path for path in segments(self._writer.folder) if path.name.startswith(prefix) and path.name >= self._newest
        ]

    def _count(self, path: Path) -> str:
        """Count a segment. Return why that was not possible, or an empty text."""
        try:
            self._counter.count_now(path)
        except FileNotFoundError:
            pass  # it was full, and is counted, shipped and deleted by now
        except (StoreUnavailable, OSError) as error:
            return str(error)
        return ""

    def _finish(self, waiting: _Waiting, trouble: str) -> None:
        found = self._results.take(waiting.numbers)
        waiting.results = [each for each in found if each is not None]
        if not waiting.error and len(waiting.results) < len(waiting.rewards):
            waiting.error = trouble
        waiting.is_done = True
