"""The standard normal distribution from a table, for many points at once.

Near a grid point z0, with t = 256 (z - z0) in [-1/2, 1/2], the distribution is c0 + c1 t + c2 t^2, the beginning of
Taylor's series: c1 is the density p over 256, c2 is -z0 p / 2 over 256^2. The density is the derivative of that. The
errors are below 1e-9 and 1e-6. Points beyond 8, where 1e-15 is left, count as about 8.

Only + - * of numpy arrays are used, one operation at a time, and of floats in a fixed order, all of which IEEE 754
defines to the last bit. So results are the same on every machine.
"""

from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]

STEPS = 256
"""Grid points for each unit of z: a power of two."""

_FARTHEST = 8 * STEPS
_DENSITY_AT_0 = 0.3989422804014327  # 1 / sqrt(2 pi)


def _densities() -> list[float]:
    """Return the density at the grid points from 0 to 8, within 1e-10 of each.

    The ratio of a density to the one before is exp(-(2k + 1) h^2 / 2) with h = 1/STEPS, so it falls by exp(-h^2)
    itself.
    """
    falls = _exp_of_little(-1 / STEPS**2)
    ratio, density, densities = _exp_of_little(-1 / (2 * STEPS**2)), _DENSITY_AT_0, []
    for _ in range(_FARTHEST + 1):
        densities.append(density)
        density *= ratio
        ratio *= falls
    return densities


def _exp_of_little(x: float) -> float:
    """Return e^x for |x| < 1e-4, where the next term is below 1e-18."""
    return 1 + x * (1 + x / 2 * (1 + x / 3))


def _table() -> Floats:
    """Return c0, c1 and c2 of the grid points from -8 to 8. Shape: 3 by 4097.

    The area from 0 to z is what the trapezium rule gives, less h^2/12 p'(z), plus h^4/720 p'''(z): the correction of
    Euler and Maclaurin (Abramowitz and Stegun, 23.1.30), whose next term is below 1e-18. Odd derivatives are 0 at 0.
    """
    h = 1 / STEPS
    upper, lower, area, before = [], [], 0.0, _DENSITY_AT_0
    for place, density in enumerate(_densities()):
        z = place * h
        area += h * (before + density) / 2 if place else 0.0
        before = density
        beyond = 0.5 - (area + h**2 / 12 * z * density + h**4 / 720 * (3 * z - z**3) * density)
        upper.append((1 - beyond, h * density, -z * density * h**2 / 2))
        # Half a step's area is less than what is beyond, and with it `below` cannot be negative.
        lower.append((max(beyond, h * density / 2), h * density, z * density * h**2 / 2))
    return np.array([*reversed(lower[1:]), *upper]).T.copy()


_TABLE = _table()


def distribution(scaled: Floats) -> tuple[Floats, Floats]:
    """Return the distribution at z = scaled / STEPS, and the density divided by `STEPS`. |z| may be up to 1e15."""
    nearest = np.rint(scaled)
    t = scaled - nearest
    place = nearest.astype(np.int64)
    place += _FARTHEST
    c0, c1, c2 = _TABLE.take(place, axis=1, mode="clip")
    c2 *= t
    below = c0 + t * (c1 + c2)
    c2 += c2
    c2 += c1
    return below, c2


def probability_below(z: float) -> float:
    """Return P(Z <= z), as `distribution` does for an array."""
    scaled = min(max(z * STEPS, -_FARTHEST), _FARTHEST)
    nearest = round(scaled)
    t = scaled - nearest
    c0, c1, c2 = _TABLE[:, nearest + _FARTHEST].tolist()
    return float(min(max(c0 + t * (c1 + c2 * t), 0.0), 1.0))  # far out, the table is off by 1e-12
