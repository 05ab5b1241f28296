"""What policies know of the arms."""

from typing import NamedTuple


class Estimates(NamedTuple):
    """What is known of the mean reward of each arm, in the order of the arms.

    Rewards are shares of the metric's range, in [0, 1].
    """

    decisions: tuple[float, ...]
    """Matured decisions, after the discount."""
    means: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    """Of the errors of the means. Only contrasts of means need it to be exact: an error that all share is allowed."""
