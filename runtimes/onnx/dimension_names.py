"""What the name of a first dimension says: that it counts instances, or that it is time."""

import re

_BATCH_NAME = re.compile(
    r"n|b|bs|batch\w*|\w*_?batch(_?(size|dim))?|num_?(samples|instances|rows)|unk__\d+|none|\?|", re.IGNORECASE
)
_TIME_NAME = re.compile(
    r"t|time\w*|\w*_?(len|length)|length\w*|frames?|num_?frames|seq\w*|s|points|num_?points|\w*tokens", re.IGNORECASE
)
_TIME_NAME_OF_ONE = re.compile(r"samples|n_?samples|num_?samples|audio\w*|wav\w*|signal\w*", re.IGNORECASE)
"""Also time, if the tensor has no other dimension."""


def is_batch_name(name: int | str) -> bool:
    """Return True if a dimension of this name counts instances, as far as a name can say so."""
    return isinstance(name, str) and bool(name) and _BATCH_NAME.fullmatch(name) is not None


def is_time_name(name: int | str, *, is_alone: bool) -> bool:
    """Return True if a dimension of this name is time. `is_alone` says that the tensor has no other dimension."""
    return isinstance(name, str) and bool(
        _TIME_NAME.fullmatch(name) or (is_alone and _TIME_NAME_OF_ONE.fullmatch(name))
    )
