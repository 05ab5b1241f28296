"""Adds what a piece of a segment counts to the store, with the rewards in it, in one step.

A reward changes what is kept of the outcomes of its decision, and the sums by the difference. Other machines may change
the same outcomes at the same time. Then the store adds nothing, and the outcomes are read and weighed again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from inference_log.exposures import tally_contexts, tally_exposures
from inference_log.record import Context, Reward, RewardContext
from inference_log.reward_tally import Result, decision_keys, tally_late, weigh
from inference_log.segment import SegmentRange
from inference_log.tally import tally
from router.evidence.sums import SumKey, Sums
from router.rewards.outcomes import DecisionKey
from router.rewards.sums import ContextSums, RewardKey, RewardSum, RewardSums, merge_contexts, merge_sums
from store.errors import OutcomesChanged, StoreUnavailable
from store.interface import Store
from store.rewarded import Rewarded

_TRIES = 20

Settled = Callable[[str, Sequence[Reward], Sequence[tuple[Result, str]]], None]
"""Called with a segment's name, rewards of it that are counted now, and what became of each."""


def ignore_results(_: str, __: Sequence[Reward], ___: Sequence[tuple[Result, str]]) -> None:
    """Do nothing: no caller waits for the results."""


class Tallied(NamedTuple):
    """What a piece of a segment adds, as far as its own entries say, and its rewards."""

    end: int
    sums: Mapping[str, Sums]
    begun: Mapping[str, RewardSums]
    contexts_begun: Mapping[str, ContextSums]
    rewards: Sequence[Reward]
    contexts: Mapping[int, RewardContext]
    keys: Sequence[DecisionKey]


def tally_piece(
    piece: SegmentRange, contexts: Mapping[int, Context], reward_contexts: Mapping[int, RewardContext]
) -> Tallied:
    """Return what a piece adds.

    Raises:
        Exception: of any kind, if the piece holds what no writer of ours has written.
    """
    return Tallied(
        piece.end,
        _merged(tally(contexts, piece.records), tally_late(reward_contexts, piece.rewards)),
        tally_exposures(contexts, piece.records),
        tally_contexts(contexts, piece.records),
        piece.rewards,
        reward_contexts,
        decision_keys(reward_contexts, piece.rewards),
    )


def _merged(first: dict[str, dict[SumKey, int]], second: Mapping[str, Sums]) -> Mapping[str, Sums]:
    """Return sums of different names by route, together."""
    for route, sums in second.items():
        first.setdefault(route, {}).update(sums)
    return first


class RewardCounter:
    """Adds pieces of segments to a store. `settled` is told what became of the rewards in them."""

    def __init__(self, store: Store, settled: Settled = ignore_results) -> None:
        self._store = store
        self._settled = settled

    def add_all(self, ranges: Mapping[str, tuple[int, int]], pieces: Sequence[Tallied]) -> Mapping[str, int]:
        """Count a piece without rewards of each of several segments. Return where each is counted to now.

        Unless these are the ends of the ranges, nothing was counted.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        sums: dict[str, dict[SumKey, int]] = {}
        begun: dict[str, dict[RewardKey, RewardSum]] = {}
        contexts: dict[str, dict[RewardKey, tuple[int, ...]]] = {}
        for piece in pieces:
            for route, added in piece.sums.items():
                of_route = sums.setdefault(route, {})
                for key, value in added.items():
                    of_route[key] = of_route.get(key, 0) + value
            begun = merge_sums(begun, piece.begun)
            contexts = merge_contexts(contexts, piece.contexts_begun)
        return self._store.count_all(ranges, sums, Rewarded(begun, contexts=contexts))

    def add(self, source: str, before: int, tallied: Tallied) -> int:
        """Count a piece that begins at `before`. Return where the counted part of the source ends now.

        Raises:
            StoreUnavailable: the store does not answer, or the outcomes change too often.
        """
        _, sums, begun, vectors, rewards, contexts, keys = tallied
        if not rewards:
            return self._store.count(source, before, tallied.end, sums, Rewarded(begun, contexts=vectors))
        for _ in range(_TRIES):
            outcomes = dict(zip(keys, self._store.outcomes(keys), strict=True))
            weighed = weigh(contexts, rewards, outcomes)
            with_contexts = merge_contexts(vectors, weighed.contexts)
            rewarded = Rewarded(merge_sums(begun, weighed.added), weighed.changes, with_contexts)
            try:
                ends = self._store.count(source, before, tallied.end, sums, rewarded)
            except OutcomesChanged:
                continue
            # Another process may have counted the piece, as after a companion was thought dead. The rewards are in the
            # sums once all the same; at worst one that was new is called a duplicate.
            if ends == tallied.end:
                self._settled(source, rewards, weighed.results)
            return ends
        raise StoreUnavailable("The outcomes of the same decisions are changed by many machines at once.")
