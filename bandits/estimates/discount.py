"""How much of old evidence counts: half after each half-life.

Discounting assumes that arms change at a rate which the half-life expresses. Its weakness: if they do not change, what
is known stops growing after a few half-lives. Its price is exploration that never ends.
"""

from math import ldexp

_LN_2 = 0.6931471805599453
_TERMS = 20
"""Of the series of exp(-x) for x < ln 2: the next term is less than 1e-22."""


def share_left(elapsed_s: float, half_life_s: float | None) -> float:
    """Return 2 ** (-elapsed_s / half_life_s), exactly at whole half-lives. It is 1 if `half_life_s` is None.

    It is a series because `pow` of the C library differs between machines in the last bit.
    """
    if half_life_s is None:
        return 1.0
    halvings, rest_s = divmod(elapsed_s, half_life_s)
    x = rest_s / half_life_s * _LN_2
    series = 1.0
    for term in range(_TERMS, 0, -1):
        series = 1.0 - x * series / term
    return ldexp(series, -int(min(halvings, 2000.0)))
