"""Models of the reward of each arm, fitted to decisions in their order, for the doubly robust estimate (`sums.py`).

A model is asked for the decisions of a time before it is given their rewards, so it follows from earlier ones alone,
and the error of the estimate is honest whatever the model is.

Without a context: the mean reward of the arm. With one: ridge regression on the context, with a penalty of 1 as in
`bandits.linear.solve`, brought into the range of rewards. It is fitted anew each time that an arm has a tenth more
decisions.
"""

from typing import Protocol

import numpy as np

from analysis.off_policy.sums import Floats, Integers

_GROWTH = 1.1


class RewardModel(Protocol):
    """Says what reward to expect of each arm. Rewards are shares of the metric's range."""

    def means(self, contexts: Floats) -> Floats:
        """Return the expected reward of each arm for contexts. Shapes: (decisions, features) to (decisions, arms)."""
        ...

    def add(self, contexts: Floats, arms: Integers, rewards: Floats) -> None:
        """Add decisions for these contexts, with the index of the arm of each and its reward."""
        ...


class MeanRewards:
    """The mean reward of each arm, whatever the context; 0 of an arm without decisions."""

    def __init__(self, arms: int) -> None:
        self._counts, self._totals = np.zeros((2, arms))

    def means(self, contexts: Floats) -> Floats:
        """Return the expected reward of each arm for contexts."""
        means = np.divide(self._totals, self._counts, out=np.zeros(len(self._counts)), where=self._counts > 0)
        return np.tile(means, (len(contexts), 1))

    def add(self, contexts: Floats, arms: Integers, rewards: Floats) -> None:  # noqa: ARG002  # the Protocol's
        """Add decisions."""
        self._counts += np.bincount(arms, minlength=len(self._counts))
        self._totals += np.bincount(arms, rewards, len(self._counts))


class LinearRewards:
    """A linear model of each arm, of contexts with `size` features, of which the first is the intercept."""

    def __init__(self, arms: int, size: int) -> None:
        self._grams = np.tile(np.identity(size), (arms, 1, 1))
        self._rewarded = np.zeros((arms, size))
        self._coefficients = np.zeros((arms, size))
        self._counts, self._fitted = np.zeros((2, arms))

    def means(self, contexts: Floats) -> Floats:
        """Return the expected reward of each arm for contexts."""
        means: Floats = np.clip(contexts @ self._coefficients.T, 0.0, 1.0)
        return means

    def add(self, contexts: Floats, arms: Integers, rewards: Floats) -> None:
        """Add decisions."""
        for arm in set(arms.tolist()):
            x, r = contexts[arms == arm], rewards[arms == arm]
            self._grams[arm] += x.T @ x
            self._rewarded[arm] += r @ x
            self._counts[arm] += len(r)
            if self._counts[arm] >= _GROWTH * self._fitted[arm]:
                self._coefficients[arm] = np.linalg.solve(self._grams[arm], self._rewarded[arm])
                self._fitted[arm] = self._counts[arm]
