"""Which answered requests of a route have their values in the log, if the route keeps a sample.

A unit is in the sample with all its requests or with none. A request without a unit is drawn for itself. The others are
one row without values, so that what is counted stays exact.
"""

import zlib

from router.draw.assignment import BUCKETS


def is_in_sample(slots: int, unit_hash: str | None, decision_id: str) -> bool:
    """Return True for a share of `slots` of 10,000 units, or of requests without a unit.

    It takes the upper bits of the same hash whose lower bits make groups of units (`router.evidence.sums.group_of`), so
    each group has its share.
    """
    return zlib.crc32((unit_hash or decision_id).encode()) * BUCKETS >> 32 < slots
