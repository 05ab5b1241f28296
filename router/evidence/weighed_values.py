"""How strongly rewards speak against an arm, and for it, on a route whose weights move.

A decision counts by the share of the other arm, as a request does (`router.evidence.weighed`): a decision of the
watched arm counts 1 - s, one of the trusted arm s. So what is summed is alike for arms that are alike, whatever weights
and rewards do in the meantime. A value y lies in [0, 1], as a share of the metric's range, and may count in part where
an event does. The evidence is a mean of e-processes, which is one. They differ in which values they suit.

1. How far values fall short of 1 are the events: values near 1.
2. Values are the events, and the arms change places: values near 0, such as clicks. Both take the variance of a value
   for its mean, which is right for a rare event.
3. Values about a centre c, with their squares: values that vary little, or that use a small part of the range. Let Y be
   s (y - c) for a decision of the trusted arm, and -(1 - s) (y - c + m) for one of the watched arm, with the margin m.
   If the watched arm's mean is lower by at most m, the expectation of Y is at most 0. It is never below -B, where
   B = max(c, 1 - c + m). For every t in (0, 1), with psi(t) = -ln(1 - t) - t,

       exp(t Y / B - psi(t) Y**2 / B**2) <= 1 + t Y / B

   (Fan, Grama, Liu, "Exponential inequalities for martingales with applications", 2015, from their lemma 4.1). So the
   product over decisions has an expectation of at most 1 at all times. Of Y**2, (1 - s)**2 is bounded by 1 - s, and
   s**2 by s: what is summed is then enough for every c. That makes the variance twice as large as it is.
   For the other side, Y changes its sign.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from router.evidence.evidence import Evidence
from router.evidence.nearest import Floats
from router.evidence.weighed import STRENGTHS, log_means, over_starts

CENTRES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The centres c that are tried, with equal weights."""
_FORMS = (0.35, 0.35, 0.3)
"""The weights of the three forms."""
_WEIGHTS = np.log([weight / len(CENTRES) for _, weight in STRENGTHS])[:, None]


class WeighedValues(NamedTuple):
    """Weighed sums from one time bucket or several: decisions, their values and the squares of these, of both arms."""

    decisions: float
    values: float
    squares: float
    other_decisions: float
    other_values: float
    other_squares: float
    bucket_s: int = 0


def compare_weighed_values(strata: Sequence[WeighedValues], margin: float) -> Evidence:
    """Return the evidence against and for "the other arm's mean is at most the arm's plus `margin`".

    The smallest `bucket_s` is the start of the comparison. It must stay the same for as long as the comparison lasts.
    """
    return over_starts(strata, lambda summed: _log_means(summed, margin))


def _log_means(summed: Floats, margin: float) -> Floats:
    """Return the logs of the mean over all forms, on both sides. Shapes: (6, starts), (2, starts)."""
    n, v, _, m, w, _ = summed
    forms = (
        log_means(np.array([n, n - v, m - w]), margin),
        log_means(np.array([m, w, v]), margin),
        np.logaddexp.reduce(_WEIGHTS + about_centres(summed, margin), axis=(1, 2)),
    )
    means: Floats = np.logaddexp.reduce(np.log(_FORMS)[:, None, None] + np.stack(forms))
    return means


def about_centres(summed: Floats, margin: float) -> Floats:
    """Return the logs of the third form for each centre and strength. Shape: (2, centres, strengths, starts)."""
    n, v, square, m, w, other_square = summed
    c = np.array(CENTRES)[:, None, None]
    t = np.array([strength for strength, _ in STRENGTHS])[:, None]
    reach = np.maximum(c, 1 - c + margin)
    total = (w - c * m) - (v - (c - margin) * n)
    squares = (other_square - 2 * c * w + c**2 * m) + (square - 2 * (c - margin) * v + (c - margin) ** 2 * n)
    price = (-np.log1p(-t) - t) * squares / reach**2
    return np.stack([t * total / reach - price, -t * total / reach - price])
