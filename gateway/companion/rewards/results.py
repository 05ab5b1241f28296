"""What became of the rewards of one writer, as the count says, which may run in another thread."""

import threading
from collections.abc import Iterable, Sequence

from inference_log.record import Reward
from inference_log.reward_tally import Result


class RewardResults:
    """The results that are waited for, by the number that the writer gave each reward."""

    def __init__(self, writer_id: str) -> None:
        self._prefix = f"{writer_id}-"
        self._awaited: dict[int, tuple[Result, str] | None] = {}
        self._lock = threading.Lock()

    def expect(self, writer_seq: int) -> None:
        """Wait for the result of a reward. Call this before it is in the segment."""
        with self._lock:
            self._awaited[writer_seq] = None

    def settled(self, source: str, rewards: Sequence[Reward], results: Sequence[tuple[Result, str]]) -> None:
        """Take the results of a piece of a segment. See `gateway.control.reward_counter.Settled`."""
        if not source.startswith(self._prefix):
            return
        with self._lock:
            for reward, result in zip(rewards, results, strict=True):
                if reward.writer_seq in self._awaited:
                    self._awaited[reward.writer_seq] = result

    def take(self, writer_seqs: Iterable[int]) -> list[tuple[Result, str] | None]:
        """Return the results, None where there is none, and wait for them no longer."""
        with self._lock:
            return [self._awaited.pop(number, None) for number in writer_seqs]
