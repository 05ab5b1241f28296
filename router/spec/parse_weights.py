"""Parsing the weights of arms."""

from collections.abc import Mapping

from router.draw.slots import quantise, require_a_slot
from router.errors import Rejected
from router.quantities import parse_share
from router.refusals import short_repr
from router.spec.spec import ArmRef


def parse_weights(raw: object, arms: Mapping[str, ArmRef], what: str) -> dict[str, int]:
    """Return the slots of each arm, from the shares that the key `what` gives them. An arm without a share has none.

    Raises:
        Rejected: if they are no shares of the arms that sum to 100 %, or one is less than a slot.
    """
    if not isinstance(raw, dict) or not raw:
        raise Rejected(f"{what} must give every arm its share, such as `{{stable: 90%, canary: 10%}}`.")
    for arm in raw:
        if arm not in arms:
            raise Rejected(f"{what} names arm {short_repr(arm)}, which is not among the arms ({', '.join(arms)}).")
    weights = {arm: parse_share(raw.get(arm, 0), f"The weight of arm {arm}") for arm in arms}
    for arm, weight in weights.items():
        require_a_slot(weight, f"The weight of arm {arm}")
    return quantise(weights)
