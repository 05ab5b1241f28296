"""Batches: several requests are merged, run as one, and split again.

A model can be batched if it answers each row as if the row were alone. Its signature cannot say so: a first dimension
that varies may as well be time. So the model is tried once, with numbers, before its first batch.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import numpy as np

from runtimes.datatypes import NUMPY_OF, Tensor
from runtimes.errors import InputRefused, ModelFailed, without_frames
from runtimes.manifest import Signature, TensorSpec
from runtimes.runtime import Runtime, check_outputs, example_inputs, example_shapes

Inputs = Mapping[str, Tensor]
RequestResult = Sequence[Tensor] | ModelFailed | InputRefused
"""The result of one request: its outputs, or the error that took their place."""

MOST_MERGED_BYTES = 4 * 1024 * 1024
"""To copy so much takes about a millisecond, on the event loop. Large requests gain little from a common run."""

_TRIAL_ROWS = 5
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5  # tolerances: another order of summation may change an FP32 result by so much


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


def why_unbatched(runtime: Runtime, max_batch: int) -> str:
    """Return why requests must not be merged, as a clause. Return an empty text if they can be.

    They can be if the model answers each of a few rows as if the row were alone. It is run on rows that differ.
    """
    signature = runtime.signature
    if max_batch == 1:
        return "max_batch is 1"
    if runtime.unbatched_because:
        return runtime.unbatched_because
    for spec in (*signature.inputs, *signature.outputs):
        if not signature.counts_instances(spec):
            return f"the first dimension of {spec.name} does not count instances"
    names = [spec.name for spec in signature.outputs]
    inputs = _trial_inputs(signature)
    try:
        together = runtime.run(inputs, names)
        _require_rows(together, _TRIAL_ROWS)
        alone = [
            runtime.run({name: tensor[row : row + 1] for name, tensor in inputs.items()}, names)
            for row in range(_TRIAL_ROWS)
        ]
    except ModelFailed as error:
        return f"it fails on some rows: {error}"
    for row, parts in enumerate(alone):
        for name, whole, part in zip(names, together, parts, strict=True):
            if not _same(whole[row : row + 1], part):
                return f"the answer {name} to a row depends on the other rows"
    return ""


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


def _trial_inputs(signature: Signature) -> dict[str, Tensor]:
    """Return a few rows that differ, with values of magnitude 1, of each input's datatype."""
    generator = np.random.default_rng(0)
    shapes = example_shapes(signature, _TRIAL_ROWS, 2)
    return {spec.name: _numbers(generator, shapes[spec.name], spec) for spec in signature.inputs}


def _numbers(generator: np.random.Generator, shape: Sequence[int], spec: TensorSpec) -> Tensor:
    dtype = NUMPY_OF[spec.datatype]
    if dtype.kind in "biu":
        return generator.integers(0, 2, shape).astype(dtype)
    if dtype.kind == "O":
        return np.array([b"%d" % number for number in generator.integers(0, 10, shape).ravel()], object).reshape(shape)
    return generator.normal(size=shape).astype(dtype)


def _same(left: Tensor, right: Tensor) -> bool:
    if left.dtype.kind in "biuO":
        return np.array_equal(left, right)
    wide = left.astype(np.float64), right.astype(np.float64)
    return left.shape == right.shape and np.allclose(*wide, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True)
