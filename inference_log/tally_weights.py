"""The sums over a segment's records into which weights go: those with which the arms of the requests were drawn.

Where each request has weights of its own, they are in its record. Records of earlier releases lack them, and are left
out of these sums.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from inference_log import request_slots
from inference_log.record import Context, Record
from router.draw.assignment import BUCKETS
from router.evidence import sums
from router.evidence.sums import ALL_UNITS, MILLION, group_of

Counted = tuple[str, int, int]
"""The name of a sum, the group of units or `ALL_UNITS`, and what is added."""

_Slots = npt.NDArray[np.int64]


def expected(context: Context, drawn: Sequence[Record]) -> Iterator[tuple[str, Sequence[Counted]]]:
    """Yield, by arm, its weights and their squares, added up over all requests that were drawn."""
    _, slots = _known(context, drawn)
    added, squared = slots.sum(axis=0).tolist(), (slots**2).sum(axis=0).tolist()
    for arm, owned, square in zip(context.weights, added, squared, strict=True):
        yield arm, [(sums.EXPECTED, ALL_UNITS, owned), (sums.EXPECTED_SQUARED, ALL_UNITS, square)]


def weighed(context: Context, arm: str, found: Mapping[str, Sequence[Record]]) -> Iterator[Counted]:
    """Yield what was found of an arm, by name, weighed by the shares of the arms with which it is compared."""
    if not context.trusted:
        return
    places = {each: place for place, each in enumerate(context.weights)}
    others = [context.trusted] if arm != context.trusted else [each for each in places if each != arm]
    for name, records in found.items():
        known, slots = _known(context, records)
        if not known:
            continue
        groups = np.array([ALL_UNITS if each.unit_hash is None else group_of(each.unit_hash) for each in known])
        for other in others:
            own, beside = slots[:, places[arm]], slots[:, places[other]]
            share = np.where(own * beside > 0, beside / np.maximum(own + beside, 1), 0.0)
            of_other = np.rint(MILLION * share)
            yield sums.weighed(name, other), ALL_UNITS, int(of_other.sum())
            yield from _by_group(sums.weighed(name, other), groups, of_other)
            if context.maximised:
                yield from _by_group(sums.spread(name, other), groups, np.rint(MILLION * np.sqrt(share * (1 - share))))


def _by_group(name: str, groups: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> Iterator[Counted]:
    """Yield the sum of the values of each group of units. Whole numbers stay exact up to 2**53."""
    of_units = groups != ALL_UNITS
    for group, value in enumerate(np.bincount(groups[of_units], values[of_units]).tolist()):
        if value:
            yield name, group, int(value)


def _known(context: Context, records: Sequence[Record]) -> tuple[Sequence[Record], _Slots]:
    """Return the records of which the weights are known, and the slots of each arm. Shape: (records, arms)."""
    if context.maximised:
        slots = [request_slots.unpack(record.slots, len(context.weights)) for record in records]
        known = [record for record, each in zip(records, slots, strict=True) if each is not None]
        return known, np.array([each for each in slots if each is not None], np.int64).reshape(-1, len(context.weights))
    of_all = np.rint(BUCKETS * np.array(list(context.weights.values()))).astype(np.int64)
    return records, np.broadcast_to(of_all, (len(records), len(of_all)))
