"""What the guardrails of a bandit compare of its rewards."""

from typing import NamedTuple


class Weighing(NamedTuple):
    """The arms of a bandit in the order of its document, the one that is trusted, and the metrics that are compared."""

    arms: tuple[str, ...]
    trusted: str
    metrics: tuple[str, ...]
