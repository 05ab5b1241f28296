"""Checks that the policy of a declared route exists."""

from bandits.errors import BanditError
from bandits.policies.choose import choose_policy
from router.errors import Rejected
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
        choose_policy(spec.bandit.policy, spec.bandit.parameters)
    except BanditError as error:
        raise Rejected(f"Route {spec.route}: {error}") from error
