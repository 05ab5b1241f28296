"""Parsing what a version that an alias brings is asked before a route follows the alias."""

from fractions import Fraction

from router.errors import Rejected
from router.quantities import parse_share
from router.refusals import check_keys, short_repr
from router.spec.parse_guardrails import parse_tolerance
from router.spec.spec import CheckSpec

MAX_LOGGED = 10_000


def parse_check(raw: object) -> CheckSpec | None:
    """Read `{logged: 500, above: 5%, tolerance: 0.01}`.

    Raises:
        Rejected: if it is not such a mapping.
    """
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise Rejected("check must be a mapping such as `{logged: 500, above: 5%}`.")
    check_keys(raw, ("logged", "above", "tolerance"), "check")
    logged = raw.get("logged")
    if type(logged) is not int or not 1 <= logged <= MAX_LOGGED:
        raise Rejected(f"check.logged must be a number of requests from 1 to {MAX_LOGGED}, not {short_repr(logged)}.")
    return CheckSpec(logged, _parse_above(raw.get("above")), parse_tolerance(raw, "check"))


def _parse_above(raw: object) -> Fraction | None:
    return None if raw is None else parse_share(raw, "check.above")
