"""Says whether the rows of a route's log may be weighted one by one by the inverse of their propensity (IPS).

The rule: every row must be a draw of its own, or the weights must not have changed.

IPS is unbiased if a row's propensity is the probability of its arm given everything before. Where each request is
drawn, it is. A sticky unit is drawn once: the propensity of its later rows is marginal, and given its past its arm is
certain. As long as the weights stay, the marginal one serves, since the units of an arm are a random sample that
outcomes have not changed. If the weights follow outcomes, a lucky arm gets new units that dilute its luck, and an
unlucky one does not: the sum is biased. A log does not show whether they did follow outcomes, so any change refuses.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class LoggedPolicy(NamedTuple):
    """What the rows of one policy version in a span of the log say.

    `weights` are the column `weights`, by arm. `has_units` is True if a row that was drawn has a unit (`unit_hash`).
    """

    policy_version: int
    weights: Mapping[str, float]
    has_units: bool


class RowWiseUse(NamedTuple):
    """Whether IPS by row may be used, and a sentence: what to mind, or what to do instead. It is empty if nothing."""

    is_allowed: bool
    sentence: str = ""


def check_row_wise_ips(route: str, policies: Iterable[LoggedPolicy]) -> RowWiseUse:
    """Return whether IPS by row may be used for a span of a route's log that these policy versions have drawn.

    The span must begin with the trial. The units of a span that begins after a change were chosen by that change.
    """
    sticky = [policy for policy in policies if policy.has_units]
    if not sticky:
        return RowWiseUse(is_allowed=True)
    first = _positive(sticky[0].weights)
    changed = next((policy for policy in sticky if _positive(policy.weights) != first), None)
    if changed is None:
        return RowWiseUse(
            is_allowed=True,
            sentence=f"Units of route {route} stay on their arms: compute standard errors by unit, not by row.",
        )
    return RowWiseUse(
        is_allowed=False,
        sentence=(
            f"Units of route {route} stay on their arms, and its weights changed between policy versions "
            f"{sticky[0].policy_version} and {changed.policy_version}: a logged propensity is not the probability of "
            "the arm given the unit's past, so IPS by row is biased. Analyse by unit, from the first assignment: "
            "`first_exposures` in `pointsman log query`."
        ),
    )


def _positive(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights without arms that get nothing: an arm that is added at 0 % changes no draw."""
    return {arm: weight for arm, weight in weights.items() if weight}
