"""What a simulation measures, and its limit."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

ALPHA = 0.01
NEEDED = -math.log(ALPHA)
NEVER = -1
REQUESTS_PER_S = 200


@dataclass(frozen=True)
class Finding:
    """One figure and its limit. Times are in seconds, all other figures are ratios."""

    promise: str
    case: str
    measured: float
    at_most: float

    @property
    def met(self) -> bool:
        """True if the promise was kept."""
        return self.measured <= self.at_most


@dataclass(frozen=True)
class Outcome:
    """By run, the look at which the level was first reached, or NEVER, and the candidate's requests until then."""

    look: Counts
    requests: Counts

    @property
    def found(self) -> float:
        """The share of runs in which the level was reached."""
        return float((self.look != NEVER).mean())


def growth(share: float, margin: float, rate: float, other_rate: float) -> float:
    """Return the fastest possible growth of an e-process's log, per request of the candidate, on average.

    It is the Kullback-Leibler divergence from the true distribution of (arm, event) to the nearest one that is "not
    worse". ln(1/alpha) divided by it is the sample size of a test that knows both rates.
    """
    low, high = sorted((other_rate, max(rate - margin, 1e-9)))
    null = np.linspace(low, high, 100_001)
    divergence = _divergence(rate, null + margin) + (1 - share) / share * _divergence(other_rate, null)
    return float(divergence.min())


def _divergence(p: float, q: Floats) -> Floats:
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
