"""How old a connection may become. Clients keep connections for days, and new replicas get traffic only by new ones.

Connections that were made together must not end together, so each has a lifetime of its own.
"""

import math
import random

_SPREAD = 0.2
"""The share of the age by which lifetimes differ."""


def lifetime_s(max_age_s: float) -> float:
    """Return the lifetime of one connection, at most `max_age_s`; without end if that is 0."""
    return max_age_s * (1 - _SPREAD * random.random()) if max_age_s else math.inf  # noqa: S311  # no secret
