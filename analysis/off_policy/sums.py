"""Estimates of what a policy would have earned, as sums to which decisions are added in their order.

Let A be the arm of a logged decision, r its reward, p the probability with which A was drawn and q the one with which
the policy would have drawn it. The weight is w = q / p. With m a model of the reward of each arm:

    inverse propensity (IPS)                 mean of w r
    the same, self-normalised (SNIPS)        sum of w r / sum of w
    doubly robust (DR)                       mean of (sum over arms of q m) + w (r - m(A))

IPS and DR are unbiased if p is the probability given everything before, q and m follow from decisions before this one,
and p is positive wherever q is. Then the terms of DR less their means are martingale differences, and the error of
their mean is sqrt(sum of squared deviations) / n. A good model makes that small; a bad one does no harm. SNIPS is a
cross-check that does not depend on the level of rewards.

Where decisions of a unit hang together, the deviations are summed by groups of units first, and the groups are taken
for independent. Then the error has as many degrees of freedom as there are groups, less one.

Sources: Dudík, Langford, Li, "Doubly robust policy evaluation and learning" (2011); Swaminathan and Joachims, "The
self-normalized estimator for counterfactual learning" (2015); for policies that learn, the martingale central limit
theorem: Hall and Heyde, "Martingale limit theory and its application" (1980), theorem 3.2. For groups: Cameron and
Miller, "A practitioner's guide to cluster-robust inference" (2015).
"""

from math import sqrt

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class OffPolicySums:
    """Sums over decisions. Rewards are in any unit. With `groups`, each decision belongs to one of so many."""

    def __init__(self, groups: int = 0) -> None:
        self.decisions = 0
        self.largest_weight = 0.0
        self._weights = self._weights_squared = self._weighted = self._rewards = 0.0
        self._terms = self._terms_squared = self._model = 0.0
        self._group_terms, self._group_weights, self._group_decisions = np.zeros((3, groups))

    def add(
        self,
        weights: Floats,
        rewards: Floats,
        modelled: Floats | float = 0.0,
        expected: Floats | float = 0.0,
        groups: Integers | None = None,
    ) -> None:
        """Add decisions: w, r, m(A) and the sum over arms of q m. All are arrays of one length, or numbers."""
        if not len(weights):
            return
        terms = expected + weights * (rewards - modelled)
        self.decisions += len(weights)
        self.largest_weight = max(self.largest_weight, float(weights.max()))
        self._weights += float(weights.sum())
        self._weights_squared += float((weights * weights).sum())
        self._weighted += float((weights * rewards).sum())
        self._rewards += float(rewards.sum())
        self._model += float(np.broadcast_to(expected, weights.shape).sum())
        self._terms += float(terms.sum())
        self._terms_squared += float((terms * terms).sum())
        if groups is not None:
            size = len(self._group_terms)
            self._group_terms += np.bincount(groups, terms, size)
            self._group_weights += np.bincount(groups, weights, size)
            self._group_decisions += np.bincount(groups, minlength=size)

    @property
    def logged(self) -> float:
        """The mean reward of the log."""
        return self._rewards / self.decisions

    @property
    def direct(self) -> float:
        """The mean reward by the model alone."""
        return self._model / self.decisions

    @property
    def ips(self) -> float:
        """The mean reward by inverse propensities."""
        return self._weighted / self.decisions

    @property
    def snips(self) -> float:
        """The same, self-normalised; NaN if the policy would have taken none of the decisions."""
        return self._weighted / self._weights if self._weights else float("nan")

    @property
    def doubly_robust(self) -> float:
        """The mean reward by the model, corrected by what was logged."""
        return self._terms / self.decisions

    @property
    def mean_weight(self) -> float:
        """It is about 1 if the propensities are right, and no arm is lacking."""
        return self._weights / self.decisions

    @property
    def mean_weight_error(self) -> float:
        """The standard error of the mean weight."""
        return max(
            self._independent_error(self.mean_weight, self._weights_squared),
            self._error_by_groups(self.mean_weight, self._group_weights),
        )

    @property
    def effective_sample_size(self) -> float:
        """How many independent decisions of the policy itself would say as much.

        It is (sum of w)² / (sum of w²), divided by the design effect of units: by how much they raise the variance
        (Kish, "Survey sampling", 1965).
        """
        if not self._weights_squared:
            return 0.0
        independent = self._independent_error(self.doubly_robust, self._terms_squared)
        design = (self.standard_error / independent) ** 2 if independent else 1.0
        return self._weights**2 / self._weights_squared / design

    @property
    def standard_error(self) -> float:
        """That of the doubly robust estimate. By groups it is no less than that of independent decisions."""
        return max(
            self._independent_error(self.doubly_robust, self._terms_squared),
            self._error_by_groups(self.doubly_robust, self._group_terms),
        )

    @property
    def degrees_of_freedom(self) -> int:
        """Those of the standard error."""
        if not len(self._group_terms):
            return self.decisions - 1
        return int((self._group_decisions > 0).sum()) - 1

    def _independent_error(self, mean: float, squares: float) -> float:
        return sqrt(max(squares - self.decisions * mean * mean, 0.0)) / self.decisions

    def _error_by_groups(self, mean: float, by_group: Floats) -> float:
        """Return the standard error of a mean whose sums by group are given; 0 without groups."""
        groups = self.degrees_of_freedom + 1
        off = by_group - mean * self._group_decisions
        return sqrt(groups / max(groups - 1, 1) * float((off * off).sum())) / self.decisions
