"""Which answers lack a value: a number that is NaN or infinite, or a label that is empty."""

from collections.abc import Sequence

import numpy as np

from inference_log.record import Context, Record
from inference_log.values import STRINGS, elements, floats


def lacking(context: Context, answered: Sequence[Record]) -> list[Record]:
    """Return the answers that lack a value. Almost always none does, so check all numbers together first.

    A record that does not hold all values says itself whether one lacked.
    """
    whole = [record for record in answered if record.kept is None]
    found = [record for record in answered if record.kept is not None and record.kept.is_missing]
    if context.prediction is not None and _has_gap(whole, *context.prediction):
        found += [record for record in whole if _is_missing(context, record)]
    elif context.label is not None and context.label[1] == STRINGS:
        found += [record for record in whole if _lacks_label(record, context.label[0])]
    return found


def _is_missing(context: Context, record: Record) -> bool:
    if context.prediction is not None and _has_gap([record], *context.prediction):
        return True
    return context.label is not None and context.label[1] == STRINGS and _lacks_label(record, context.label[0])


def _has_gap(answered: Sequence[Record], index: int, type_string: str) -> bool:
    """Return True if a number is NaN or infinite."""
    size = np.dtype(type_string).itemsize
    parts = [part for record in answered if len(part := _output(record, index)) % size == 0]
    return not bool(np.isfinite(floats(parts, type_string)).all())


def _lacks_label(record: Record, index: int) -> bool:
    """Return True if an instance has no label, or an empty label."""
    labels = elements(_output(record, index))
    return labels is None or b"" in labels or len(labels) < record.batch_size


def _output(record: Record, index: int) -> bytes:
    return record.outputs[index] if index < len(record.outputs) else b""
