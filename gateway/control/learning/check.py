"""Checks that the policy of a declared route exists."""

from bandits.errors import BanditError
from bandits.policies.choose import choose_policy
from router.errors import Rejected
from router.spec.spec import RouteSpec


def check_policy(spec: RouteSpec) -> None:
    """Check the policy of a route, and its parameters.

    Raises:
        Rejected: there is no such policy or parameter, or a parameter is out of its range.
    """
    if spec.bandit is None:
        return
    try:
        choose_policy(spec.bandit.policy, spec.bandit.parameters)
    except BanditError as error:
        raise Rejected(f"Route {spec.route}: {error}") from error
