"""What learns on a route, and how its policies are numbered."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from bandits.bounds.bounds import Bounds
from router.document.document import Document, LearningState
from router.document.learned import LearnedPolicy
from router.draw.slots import reallocate
from router.evidence.reward_counts import ReadSums
from router.rewards.arrival import arrival
from router.spec.bandit import BanditSpec
from router.spec.metric import MetricSpec

BASE_BUCKETS = 120
"""How many of the newest time buckets are folded anew each time: two windows (`router.rewards.buckets`)."""


class Learning(NamedTuple):
    """A bandit, or a policy that observes, and the metric that it maximises."""

    document: Document
    bandit: BanditSpec
    state: LearningState
    metric: MetricSpec


def learning_of(document: Document) -> Learning | None:
    """Return what learns on a route; None if nothing does."""
    bandit, state = document.spec.bandit, document.learning
    if bandit is None or state is None:
        return None
    metric = next(each for each in document.spec.metrics if each.name == bandit.reward)
    return Learning(document, bandit, state, metric)


class _InTime(Protocol):
    @property
    def begins_s(self) -> int: ...


Bucket = TypeVar("Bucket", bound=_InTime)


def newly_heard(
    learning: Learning, known: LearnedPolicy | None, read: ReadSums, matured: Sequence[Bucket], now_s: float
) -> list[Bucket]:
    """Return the time buckets to learn from, oldest first: those whose rewards have come.

    There are none while rewards do not come, or if the policy `known` was learned from the newest of them.
    """
    arrived = arrival(learning.metric, read.recent, now_s)
    heard = [each for each in matured if arrived.is_heard(each.begins_s)]
    if arrived.silent or not heard:
        return []
    is_in_force = known is not None and known.since_version == learning.state.since_version
    if known is not None and is_in_force and heard[-1].begins_s == known.content["newest_s"]:
        return []
    return heard


def numbered(
    learning: Learning, known: LearnedPolicy | None, slots: Sequence[int], content: Mapping[str, Any], now_s: float
) -> LearnedPolicy:
    """Return the policy after `known`, with the slots of each arm in their order."""
    document, _, state, _ = learning
    return LearnedPolicy(
        route=document.spec.route,
        declared_us=document.declared_us,
        number=max(state.policy, 0 if known is None else known.number) + 1,
        since_version=state.since_version,
        slots=reallocate(document.slots, dict(zip(document.spec.arms, slots, strict=True))),
        at_us=round(now_s * 1_000_000),
        content=content,
    )


def burnt_in(
    learning: Learning, known: LearnedPolicy | None, decisions: Sequence[float], bounds: Bounds
) -> tuple[list[str], Bounds]:
    """Return the arms whose burn-in is over, and the bounds: without a burn-in once it is over for each arm.

    `decisions` are those of each arm that have matured. A discount, which makes them fewer, does not begin it again.
    """
    before = [] if known is None else known.content.get("burnt_in", ())
    arms = tuple(learning.document.spec.arms)
    ready = [
        arm
        for arm, count in zip(arms, decisions, strict=True)
        if count >= bounds.burn_in or (known is not None and arm in before and not is_reset(arm, learning.state, known))
    ]
    if all(arm in ready for arm, ceiling in zip(arms, bounds.ceilings, strict=True) if ceiling):
        bounds = bounds._replace(burn_in=0.0)
    return ready, bounds


def is_reset(arm: str, state: LearningState, known: LearnedPolicy) -> bool:
    """Return True if what the policy before knew of an arm is forgotten."""
    return state.arms[arm] > known.since_version
