"""Build a policy from its name and its parameters, as a route's document gives them."""

from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

from bandits.errors import BanditError

Made = TypeVar("Made", covariant=True)


class Kind(NamedTuple, Generic[Made]):
    """A kind of policy, and the least and the greatest value of each of its parameters."""

    build: Callable[..., Made]
    ranges: Mapping[str, tuple[float, float]] = {}


def build_named(kinds: Mapping[str, Kind[Made]], name: str, parameters: Mapping[str, object]) -> Made:
    """Return the policy of that name. Parameters that are not given have their defaults.

    Raises:
        BanditError: if there is no such policy or parameter, or a value is no number in its range.
    """
    kind = kinds.get(name)
    if kind is None:
        raise BanditError(f"There is no policy {name!r:.60}; choose one of {', '.join(kinds)}.")
    for key in parameters:
        if key not in kind.ranges:
            known = f"it has {', '.join(kind.ranges)}" if kind.ranges else "it has none"
            raise BanditError(f"Policy {name} has no parameter {key!r:.60}; {known}.")
    return kind.build(**{key: _number(name, key, value, kind.ranges[key]) for key, value in parameters.items()})


def _number(policy: str, key: str, value: object, allowed: tuple[float, float]) -> float:
    least, most = allowed
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise BanditError(f"{key} of policy {policy} must be a number from {least:g} to {most:g}, not {value!r:.60}.")
    return float(value)
