"""What all policies without a context have in common."""

from typing import Protocol

from bandits.estimates.estimates import Estimates


class Policy(Protocol):
    """Turns what is known of the arms into weights. Its parameters are its fields."""

    def weights(self, estimates: Estimates) -> tuple[float, ...]:
        """Return the probability of each arm, before floors; they sum to 1 within 1e-12."""
        ...
