"""The column `features_cat`: the texts of an instance, by the name of their input."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from inference_log.record import Context, Record
from inference_log.values import elements


def categories(context: Context, records: Sequence[Record], sizes: np.ndarray[Any, Any]) -> pa.Array:
    """Return a map of input name to text for each row. `sizes` are the rows of each record.

    A text that the record does not hold is not in the map.
    """
    if not context.categories:
        offsets = pa.array(np.zeros(int(sizes.sum()) + 1), pa.int32())
        return pa.MapArray.from_arrays(offsets, pa.array([], pa.string()), pa.array([], pa.string()))
    names: list[str] = []
    texts: list[str] = []
    ends = [0]
    for record, size in zip(records, sizes.tolist(), strict=True):
        columns = _columns(context, record, size)
        for row in range(size):
            for name, column in columns:
                names.append(name)
                texts.append(column[row].decode("utf-8", "replace"))
            ends.append(len(names))
    return pa.MapArray.from_arrays(
        pa.array(ends, pa.int32()), pa.array(names, pa.string()), pa.array(texts, pa.string())
    )


def _columns(context: Context, record: Record, size: int) -> list[tuple[str, list[bytes]]]:
    """Return the names and texts of the inputs of which the record holds one text for each row."""
    found = []
    for name, content in zip(context.categories, record.inputs[len(context.inputs) :], strict=False):
        texts = elements(content)
        if texts is not None and len(texts) == size:
            found.append((name, texts))
    return found
