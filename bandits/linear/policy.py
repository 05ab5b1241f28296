"""What all contextual policies have in common."""

from typing import Protocol

from bandits.linear.scorer import Scores


class ContextualPolicy(Protocol):
    """Turns the scores of the arms for one context into the probability of each."""

    @property
    def needs_spreads(self) -> bool:
        """Return True if `Scores.spreads` must be there."""
        ...

    def weights(self, scores: Scores) -> tuple[float, ...]:
        """Return the probability of each arm, before floors; they sum to 1 within 1e-12. A policy never draws."""
        ...
