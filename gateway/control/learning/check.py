"""Checks that the policy of a declared route exists."""

from bandits.errors import BanditError
from bandits.linear.choose import CONTEXTUAL_NAMES, choose_contextual
from bandits.policies.choose import choose_policy
from gateway.inference.contexts import encoder_of
from gateway.inference.decision_token import ROOM_BYTES
from inference_log.request_slots import packer
from router.errors import Rejected
from router.spec.bandit import BanditSpec
from router.spec.spec import RouteSpec

_BY_DECISION = frozenset({"thompson-beta", "ucb1", "kl-ucb"})
"""Policies that take decisions for independent. Those of a unit are not."""


def check_policy(spec: RouteSpec) -> None:
    """Check the policy of a route, and its parameters.

    Raises:
        Rejected: there is no such policy or parameter, a parameter is out of its range, or the policy would be too sure
            because the route has units.
    """
    if spec.bandit is None:
        return
    if spec.unit is not None and spec.bandit.policy in _BY_DECISION:
        raise Rejected(
            f"Route {spec.route}: policy {spec.bandit.policy} takes decisions for independent, and those of a unit are "
            "not. Take thompson or top-two, or leave out unit."
        )
    try:
        if spec.bandit.policy in CONTEXTUAL_NAMES or spec.bandit.context:
            _check_contextual(spec, spec.bandit)
        else:
            choose_policy(spec.bandit.policy, spec.bandit.parameters)
        _check_room(spec, spec.bandit)
    except BanditError as error:
        raise Rejected(f"Route {spec.route}: {error}") from error


def _check_room(spec: RouteSpec, bandit: BanditSpec) -> None:
    """Check that a decision token has room for all that it holds where guardrails compare rewards.

    Raises:
        Rejected: it has not.
    """
    features = len(encoder_of(bandit.context).features) - 1 if bandit.context else 0
    needed = max(map(len, spec.arms)) + len(packer(len(spec.arms))([0] * len(spec.arms))) + 1 + 2 * features + 1
    if spec.weighing is not None and needed > ROOM_BYTES:
        raise Rejected(
            f"Route {spec.route}: where guardrails compare rewards, the token of a decision holds the weights of all "
            f"arms, its context and the arm's name. These {len(spec.arms)} arms and {features} features do not fit: "
            f"they are {needed} bytes of {ROOM_BYTES}. Declare fewer arms or features, or give arms shorter names."
        )


def _check_contextual(spec: RouteSpec, bandit: BanditSpec) -> None:
    """Check that a policy and a context fit together.

    Raises:
        BanditError: there is no such policy or parameter, or the context has too many features.
        Rejected: the one is there without the other.
    """
    if not bandit.context:
        raise Rejected(
            f"Route {spec.route}: policy {bandit.policy} looks at the request; declare its context, such as "
            "{headers.x-device: [phone, desktop]}."
        )
    if bandit.policy not in CONTEXTUAL_NAMES:
        raise Rejected(
            f"Route {spec.route}: policy {bandit.policy} does not look at the request; leave out context, or take "
            f"one of {', '.join(CONTEXTUAL_NAMES)}."
        )
    choose_contextual(bandit.policy, bandit.parameters)
    encoder_of(bandit.context)
