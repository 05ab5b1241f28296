"""A simulated crowd: who clicks on what, and how long after it was shown.

Person number n of a seed always has the same taste and the same haste, in whatever order people come
and whichever arm they see.
"""

import random
from collections.abc import Mapping, Sequence

LEAST_RATE, HIGHEST_RATE = 0.1, 0.26
MEAN_DELAY_S = 1.5
"""Of an exponential distribution. With a window of 5 s, 3.6 % of the clicks come too late."""


def draw_rates(arms: Sequence[str], seed: int) -> dict[str, float]:
    """Return the probability of a click for each arm: from 10 to 26 % in equal steps, in an order drawn by the seed."""
    steps = max(len(arms) - 1, 1)
    rates = [LEAST_RATE + (HIGHEST_RATE - LEAST_RATE) * step / steps for step in range(len(arms))]
    _dice(seed, "rates").shuffle(rates)
    return dict(zip(arms, rates, strict=True))


class Crowd:
    """People who see an arm each. `rates` has the probability of a click by arm, and may be replaced."""

    def __init__(self, rates: Mapping[str, float], seed: int) -> None:
        self.rates = rates
        self._seed = seed

    def click_after_s(self, number: int, arm: str) -> float | None:
        """Return after how many seconds a person clicks on an arm; None if never."""
        dice = _dice(self._seed, number)
        taste, delay_s = dice.random(), dice.expovariate(1 / MEAN_DELAY_S)
        return delay_s if taste < self.rates[arm] else None


def _dice(seed: int, what: object) -> random.Random:
    return random.Random(f"{seed} {what}")  # noqa: S311  # a simulation that can be repeated
