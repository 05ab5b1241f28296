"""How much the decisions of a bandit count where its guardrails compare rewards, by the weights in the log.

The weights of a decision are in its record when it is made, and in each of its rewards. Those of which they are not
known count in no comparison.
"""

from inference_log import request_slots
from inference_log.record import Context, Reward, RewardContext
from router.draw.assignment import BUCKETS
from router.evidence.weighed_rewards import Shares, shares
from router.spec.weighing import Weighing


def decision_shares(context: Context, slots: bytes | None) -> Shares:
    """Return the shares of a decision that is made. `slots` are those of its record."""
    if not context.maximised:
        of_all = {arm: round(BUCKETS * weight) for arm, weight in context.weights.items()}
        return shares(context.arm, of_all, context.trusted, by_request=False)
    known = request_slots.unpack(slots, len(context.weights))
    if known is None:
        return ()
    return shares(context.arm, dict(zip(context.weights, known, strict=True)), context.trusted, by_request=True)


def reward_shares(context: RewardContext, reward: Reward) -> Shares:
    """Return the shares of the decision of a reward."""
    if context.weighing is None:
        return ()
    return slot_shares(context.weighing, context.arm, reward.slots, by_request=bool(context.maximised))


def slot_shares(weighing: Weighing, arm: str, slots: bytes | None, *, by_request: bool) -> Shares:
    """Return the shares of a decision of an arm, by slots in the order of the document."""
    known = request_slots.unpack(slots, len(weighing.arms))
    if known is None:
        return ()
    return shares(arm, dict(zip(weighing.arms, known, strict=True)), weighing.trusted, by_request=by_request)
