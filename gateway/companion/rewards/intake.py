"""Answers one request with rewards: reads it, judges each of them, and has those that are right written and counted."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.companion.rewards.client import PATIENCE_S
from gateway.companion.rewards.committer import NotCounted, RewardCommitter
from gateway.companion.rewards.judge import Accepted, Judge, Refusal
from gateway.companion.rewards.messages import Answered, Asked, Outcome
from gateway.companion.rewards.reward_counts import RewardCounts
from gateway.errors import BadRequest
from gateway.protocols.rewards import RewardResult, SentReward, Unreadable
from gateway.protocols.rewards_grpc import read_message, write_message
from gateway.protocols.rewards_import import ImportedReward, read_import
from gateway.protocols.rewards_json import read_json, write_json
from inference_log.reward_tally import Result
from store.errors import StoreUnavailable

_READ: Mapping[str, Callable[[bytes], list[SentReward | Unreadable]]] = {"http": read_json, "grpc": read_message}
_WRITE: Mapping[str, Callable[[Sequence[RewardResult]], bytes]] = {
    "http": write_json, "grpc": write_message, "import": write_json,
}  # fmt: skip


class Intake:
    """One per machine. Any thread calls `answer`. `trouble` returns why the store is not believed, or an empty text."""

    def __init__(
        self,
        judge: Judge,
        committer: RewardCommitter,
        trouble: Callable[[], str],
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = RewardCounts()
        self._judge = judge
        self._committer = committer
        self._trouble = trouble
        self._now_us = now_us
        self._clock_s = clock_s

    def answer(self, asked: Asked) -> Answered:
        """Return the answer to a request. Raise nothing that a request or the store may cause."""
        until_s = self._clock_s() + PATIENCE_S
        try:
            source, rewards = _read(asked)
            if trouble := self._trouble():
                raise NotCounted(trouble)
            judged = self._judge.judge(rewards, asked.routes, self._now_us(), source)
            accepted = [each for each in judged if isinstance(each, Accepted)]
            settled = self._committer.commit(accepted, until_s) if accepted else []
        except BadRequest as error:
            return Answered(Outcome.REJECTED, str(error).encode())
        except (NotCounted, StoreUnavailable) as error:
            return Answered(Outcome.NOT_COUNTED, str(error).encode())
        results = _results(judged, settled)
        self.counts.add((each.route, each.metric, result) for each, (result, _) in zip(judged, results, strict=True))
        return Answered(Outcome.RESULTS, _WRITE[asked.protocol](results))


def _read(asked: Asked) -> tuple[str, Sequence[SentReward | ImportedReward | Unreadable]]:
    """Return where the rewards of a request come from, and the rewards."""
    if asked.protocol == "import":
        return read_import(asked.body)
    return asked.protocol, _READ[asked.protocol](asked.body)


def _results(judged: Sequence[Accepted | Refusal], settled: Sequence[tuple[Result, str]]) -> list[RewardResult]:
    """Return what became of all rewards, in order."""
    rest: Any = iter(settled)
    return [
        RewardResult(Result.REFUSED.value, each.sentence) if isinstance(each, Refusal) else RewardResult(*next(rest))
        for each in judged
    ]
