"""Answers as the log holds them, and the answers of a model in the same form, so that the two can be compared."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from inference_log.record import Context, Record
from inference_log.rows.inference_rows import labels, predictions

_Output = tuple[int, str] | None
_Array = np.ndarray[Any, np.dtype[Any]]


class Answers(NamedTuple):
    """The labels (texts, one for each instance) and predictions (numbers, a row for each instance) of one request.

    Each is None if the log has none.
    """

    labels: _Array | None
    predictions: _Array | None


def logged_answers(rows: pa.Table) -> Answers:
    """Return the answers of the rows of one request."""
    return _answers(rows.column("predicted_label").combine_chunks(), rows.column("prediction").combine_chunks())


def as_logged(label: _Output, prediction: _Output, outputs: Sequence[bytes], instances: int) -> Answers:
    """Return a model's outputs as the log would hold them.

    `label` and `prediction` are as in `Context`. `outputs` are the bytes of the tensors, in the signature's order.
    """
    context = Context(0, "", "", "primary", "", 0, "", {}, "", "", "", label=label, prediction=prediction)
    record = Record(0, 0, "", 0, 0, "", None, None, 200, "ok", "", 0, 0, instances, "", "", (), tuple(outputs))
    sizes = np.array([instances])
    return _answers(labels(context, [record], sizes), predictions(context, [record], sizes))


def _answers(label: pa.Array, prediction: pa.Array) -> Answers:
    found = None if label.null_count == len(label) else np.array(label.to_pylist(), object)
    if prediction.null_count == len(prediction):
        return Answers(found, None)
    numbers = prediction.flatten().to_numpy(zero_copy_only=False)
    is_even = len(numbers) % len(prediction) == 0
    return Answers(found, numbers.reshape(len(prediction), -1) if is_even else np.empty((len(prediction), 0)))
