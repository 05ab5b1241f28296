"""The weights from which the arm of a row was drawn."""

from collections.abc import Mapping

from router.snapshot import Route


def row_weights(route: Route) -> Mapping[str, float]:
    """Return the probability of each arm. Without a context it is the same for all rows of a policy."""
    return {arm.name: arm.propensity for arm in route.arms}
