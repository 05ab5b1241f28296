"""The allowed rates that are nearest to a pair of rates, and the scores of requests against them.

Both are computed for many pairs at once: arguments may be arrays that NumPy can broadcast against each other.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_TINY = 1e-12
_STEPS = 60


def nearest(share: npt.ArrayLike, margin: float, rate: npt.ArrayLike, other_rate: npt.ArrayLike) -> Floats:
    """Return the others' rate r that minimises share KL(rate, r + margin) + (1 - share) KL(other_rate, r).

    The sum is convex in r, so its derivative grows. It changes sign between `rate - margin` and `other_rate`, where
    Newton's method finds its zero. A step that would leave the bounds found so far is replaced by a bisection.
    """
    s, p, q = np.broadcast_arrays(*(np.asarray(each, dtype=float) for each in (share, rate, other_rate)))
    r: Floats = s * p + (1 - s) * q
    if margin == 0:
        return r
    ends = np.clip(p - margin, _TINY, 1 - margin - _TINY), np.clip(q, _TINY, 1 - margin - _TINY)
    low, high = np.minimum(*ends), np.maximum(*ends)
    r = r - s * margin
    # At an end the second derivative may be so large that a step is too short to leave it.
    r = np.where((low < r) & (r < high), r, (low + high) / 2)
    for _ in range(_STEPS):
        null = r + margin
        slope = s * (null - p) / (null * (1 - null)) + (1 - s) * (r - q) / (r * (1 - r))
        # The second derivative of p ln(p / r) + (1 - p) ln((1 - p) / (1 - r)) by r is p / r**2 + (1 - p) / (1 - r)**2.
        curve = s * (p / null**2 + (1 - p) / (1 - null) ** 2) + (1 - s) * (q / r**2 + (1 - q) / (1 - r) ** 2)
        low, high = np.where(slope > 0, low, r), np.where(slope > 0, r, high)
        step = r - slope / curve
        following = np.where((low <= step) & (step <= high), step, (low + high) / 2)
        if np.abs(following - r).max() < _TINY:
            break
        r = following
    return r


def scores(share: npt.ArrayLike, margin: float, rate: npt.ArrayLike, other_rate: npt.ArrayLike) -> Floats:
    """Return what one request adds to the log of the likelihood ratio of the pair to the nearest allowed rates.

    The last axis holds the four kinds of requests: the candidate's with an event and without one, and the others' with
    an event and without one.
    """
    p, q = np.asarray(rate, dtype=float), np.asarray(other_rate, dtype=float)
    r = nearest(share, margin, p, q)
    null = r + margin
    events, other_events = np.log(p / null), np.log(q / r)
    kinds: Floats = np.stack([events, np.log((1 - p) / (1 - null)), other_events, np.log((1 - q) / (1 - r))], axis=-1)
    return kinds
