"""Batches: several requests are merged, run as one, and split again.

A model can be batched if it answers each row as if the row were alone. Its signature cannot say so: a first dimension
that varies may as well be time. So the model is tried once, with numbers, before its first batch.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import numpy as np

from runtimes.datatypes import Tensor
from runtimes.errors import InputRefused, ModelFailed, without_frames
from runtimes.row_by_row import why_dependent
from runtimes.runtime import Runtime, check_outputs, example_inputs

Inputs = Mapping[str, Tensor]
RequestResult = Sequence[Tensor] | ModelFailed | InputRefused
"""The result of one request: its outputs, or the error that took their place."""

MOST_MERGED_BYTES = 4 * 1024 * 1024
"""To copy so much takes about a millisecond, on the event loop. Large requests gain little from a common run."""


_MOST_GIVEN = 6


def merge(requests: Sequence[Inputs]) -> Inputs:
    """Return one input with the rows of all requests. Their tensors may differ in the first dimension only.

    `split(merge(requests))` returns the requests again.
    """
    if len(requests) == 1:
        return requests[0]
    return {name: np.concatenate([inputs[name] for inputs in requests]) for name in requests[0]}


def rows_to_merge(inputs: Inputs, rows: int, limit: int) -> int:
    """Return how many rows like these are to be merged, at most `limit`: merging copies `MOST_MERGED_BYTES` at most."""
    size = sum([tensor.nbytes for tensor in inputs.values()])
    return limit if size * limit <= MOST_MERGED_BYTES * rows else max(1, MOST_MERGED_BYTES * rows // size)


def split(tensors: Sequence[Tensor], rows: Sequence[int]) -> list[Sequence[Tensor]]:
    """Return each request's part of merged tensors, as views. `rows` holds the number of rows of each request."""
    if len(rows) == 1:
        return [tensors]
    bounds = pairwise(accumulate(rows, initial=0))
    return [[tensor[start:end] for tensor in tensors] for start, end in bounds]


def shape_key(inputs: Inputs) -> tuple[tuple[int, ...], ...]:
    """Return the dimensions after the first. Requests with equal shape keys can be merged."""
    return tuple([tensor.shape[1:] for tensor in inputs.values()])


def run_isolated(
    runtime: Runtime, inputs: Inputs, rows: Sequence[int], outputs: Sequence[str], *, row_by_row: bool = True
) -> list[RequestResult]:
    """Run merged requests and return one result for each. Without `row_by_row` there must be a single request.

    If the model raises, the requests are halved until those that it raises on are found. Only these get the error.
    """
    try:
        tensors = runtime.run(inputs, outputs)
        check_outputs(runtime.signature.outputs, tensors)
        if row_by_row:
            _require_rows(tensors, sum(rows))
    except ModelFailed as error:
        if len(rows) == 1:
            return [_classify(runtime, without_frames(error), outputs)]
        middle = len(rows) // 2
        edge = sum(rows[:middle])
        head = {name: tensor[:edge] for name, tensor in inputs.items()}
        tail = {name: tensor[edge:] for name, tensor in inputs.items()}
        return [
            *run_isolated(runtime, head, rows[:middle], outputs),
            *run_isolated(runtime, tail, rows[middle:], outputs),
        ]
    return list(split(tensors, rows))


def why_unbatched(runtime: Runtime, max_batch: int, given: Sequence[Inputs] = ()) -> str:
    """Return why requests must not be merged, as a clause. Return an empty text if they can be.

    They can be if the model answers each row as if the row were alone. It is tried (`runtimes.row_by_row`): with rows
    that are made for it, or else with those of the `given` requests, which the model can answer.
    """
    signature = runtime.signature
    if max_batch == 1:
        return "max_batch is 1"
    if runtime.unbatched_because:
        return runtime.unbatched_because
    for spec in (*signature.inputs, *signature.outputs):
        if not signature.counts_instances(spec):
            return f"the first dimension of {spec.name} does not count instances"
    rows = [row for inputs in given for row in _rows_of(inputs)][:_MOST_GIVEN]
    alike = [row for row in rows if shape_key(row) == shape_key(rows[0])]
    return why_dependent(runtime, max_batch, alike) if len(alike) > 1 or not given else ""


def _rows_of(inputs: Inputs) -> list[Inputs]:
    count = min(map(len, inputs.values()))
    return [{name: tensor[row : row + 1] for name, tensor in inputs.items()} for row in range(count)]


def _require_rows(tensors: Sequence[Tensor], rows: int) -> None:
    if any(tensor.shape[:1] != (rows,) for tensor in tensors):
        raise ModelFailed(f"The model did not answer {rows} rows with {rows} rows.")


def _classify(runtime: Runtime, error: ModelFailed, outputs: Sequence[str]) -> ModelFailed | InputRefused:
    """Return `error` if the model itself is at fault: it then fails on zeros, too. Otherwise return `InputRefused`."""
    try:
        check_outputs(runtime.signature.outputs, runtime.run(example_inputs(runtime.signature), outputs))
    except ModelFailed:
        return error
    return InputRefused(f"The model cannot answer these values. {error}")
