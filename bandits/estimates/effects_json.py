"""The state of the estimate `effects` as JSON, exactly: a float is written as the shortest decimal that reads back."""

from collections.abc import Iterable, Mapping
from typing import Any

from bandits.errors import BanditError
from bandits.estimates.comparisons import Comparisons
from bandits.estimates.effects_state import EffectsState, Group
from bandits.estimates.numbers import as_floats


def to_json(state: EffectsState) -> dict[str, Any]:
    """Return the state as a dict that JSON can hold."""
    lists = {name: list(value) if isinstance(value, tuple) else value for name, value in state._asdict().items()}
    return lists | {
        "comparisons": _lists(state.comparisons),
        "groups": [[list(group.decisions), *_lists(group.without)] for group in state.groups],
    }


def from_json(fields: Mapping[str, Any]) -> EffectsState:
    """Return the state that `to_json` gave. Raise BanditError if it is none."""
    try:
        arms = tuple(str(arm) for arm in fields["arms"])
        size = len(arms)
        (squares, spare, counted, counted_squared) = as_floats(
            [fields[name] for name in ("squares", "spare", "counted", "counted_squared")], 4
        )
        return EffectsState(
            arms=arms,
            newest_s=None if fields["newest_s"] is None else int(fields["newest_s"]),
            decisions=as_floats(fields["decisions"], size),
            comparisons=_comparisons(*fields["comparisons"], size=size),
            squares=squares,
            spare=spare,
            own_squares=as_floats(fields["own_squares"], size),
            own_spare=as_floats(fields["own_spare"], size),
            recent_decisions=as_floats(fields["recent_decisions"], size),
            recent_rewards=as_floats(fields["recent_rewards"], size),
            counted=counted,
            counted_squared=counted_squared,
            groups=tuple(
                Group(as_floats(decisions, size), _comparisons(weights, excess, size=size))
                for decisions, weights, excess in fields["groups"]
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BanditError(
            f"This is no state of the estimate `effects`, so begin with an empty one: {error!r}."
        ) from error


def _lists(known: Comparisons) -> list[list[float]]:
    return [list(known.weights), list(known.excess)]


def _comparisons(weights: Iterable[Any], excess: Iterable[Any], *, size: int) -> Comparisons:
    return Comparisons(as_floats(weights, size * (size - 1) // 2), as_floats(excess, size))
