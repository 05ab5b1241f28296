"""How much a decision of a bandit counts where the rewards of two arms are compared.

Guardrails compare each arm with the trusted one. A decision counts by the share of the other arm among the two, by the
weights with which its arm was drawn, as a request does (`router.evidence.weighed`). Such sums are kept beside the plain
ones, under the name of the metric and a suffix. A decision counts the same when it is made and when its rewards come,
so its weights travel with it, in its token.
"""

from collections.abc import Mapping, Sequence
from math import sqrt

from router.evidence.sums import MILLION, spread, weighed
from router.rewards.sums import RewardSum

Shares = Sequence[tuple[str, int]]
"""Suffixes of names of sums, each with how much a decision counts in these sums, in millionths."""


def shares(arm: str, slots: Mapping[str, int], trusted: str, *, by_request: bool) -> Shares:
    """Return how much a decision of an arm counts in each comparison. `slots` are the weights of its draw.

    If the weights are those of one request (`by_request`), there is the spread of the draw, too.
    """
    others = [trusted] if arm != trusted else [each for each in slots if each != arm]
    found = []
    for other in others:
        own, beside = slots.get(arm, 0), slots.get(other, 0)
        if own and beside:
            share = beside / (own + beside)
            found.append((weighed("", other), round(MILLION * share)))
            if by_request:
                found.append((spread("", other), round(MILLION * sqrt(share * (1 - share)))))
    return found


def scaled(value: RewardSum, share: int) -> RewardSum:
    """Return what one decision adds to a sum in which it counts `share` millionths. Decisions are in millionths then.

    Scale the whole value of a decision, never a difference: what is rounded down would depend on the order in which
    rewards come.
    """
    return RewardSum(share * value.decisions, 0, share * value.total // MILLION, share * value.squares // MILLION)


def is_suffix(suffix: str) -> bool:
    """Return True if a text is the suffix of weighed sums. No name of a metric holds such a text."""
    return suffix.startswith((weighed("", ""), spread("", "")))


def is_spread(suffix: str) -> bool:
    """Return True if a suffix is that of spreads, which are summed by groups of units only."""
    return suffix.startswith(spread("", ""))
