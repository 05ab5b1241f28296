"""Several requests as one run of a model, and apart again. Decides; runs what it is given.

A model can be batched if it answers each row as if it were alone. A signature cannot say so (a first dimension that
varies may as well be time), so it is tried once, with numbers, before the first batch is made.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import numpy as np

from runtimes.datatypes import NUMPY_OF, Tensor
from runtimes.errors import InputRefused, ModelFailed
from runtimes.manifest import Signature, TensorSpec
from runtimes.runtime import Runtime, check_outputs, example_inputs

Inputs = Mapping[str, Tensor]
RequestResult = Sequence[Tensor] | ModelFailed | InputRefused
"""What became of one request: its outputs, or why there are none."""

_TRIAL_ROWS = 5
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5  # what another order of summation may change in FP32


def merge(requests: Sequence[Inputs]) -> Inputs:
    """Requests whose tensors differ in the first dimension alone, one below the other.

    `split(merge(requests))` gives the requests back.
    """
    if len(requests) == 1:
        return requests[0]
    return {name: np.concatenate([inputs[name] for inputs in requests]) for name in requests[0]}


def split(tensors: Sequence[Tensor], rows: Sequence[int]) -> list[Sequence[Tensor]]:
    """Each request's part of merged tensors, given how many rows each has: views, not copies."""
    if len(rows) == 1:
        return [tensors]
    bounds = pairwise(accumulate(rows, initial=0))
    return [[tensor[start:end] for tensor in tensors] for start, end in bounds]


def shape_key(inputs: Inputs) -> tuple[tuple[int, ...], ...]:
    """Return the dimensions behind the first. Requests with equal keys can be merged."""
    return tuple([tensor.shape[1:] for tensor in inputs.values()])


def run_isolated(
    runtime: Runtime, inputs: Inputs, rows: Sequence[int], outputs: Sequence[str], *, row_by_row: bool = True
) -> list[RequestResult]:
    """Runs merged requests; one outcome each. A model that is not known to answer `row_by_row` gets one at a time.

    If the model raises, the requests are halved until those are found that it raises on: nobody else gets the error.
    """
    try:
        tensors = runtime.run(inputs, outputs)
        check_outputs(runtime.signature.outputs, tensors)
        if row_by_row:
            _require_rows(tensors, sum(rows))
    except ModelFailed as error:
        if len(rows) == 1:
            return [_judged(runtime, error, outputs)]
        middle = len(rows) // 2
        edge = sum(rows[:middle])
        head = {name: tensor[:edge] for name, tensor in inputs.items()}
        tail = {name: tensor[edge:] for name, tensor in inputs.items()}
        return [
            *run_isolated(runtime, head, rows[:middle], outputs),
            *run_isolated(runtime, tail, rows[middle:], outputs),
        ]
    return list(split(tensors, rows))


def is_batchable(runtime: Runtime) -> bool:
    """Whether the model answers each of a few rows as if it were alone. Runs it on numbers that differ row by row."""
    signature = runtime.signature
    if not _is_batched(signature.inputs) or not _is_batched(signature.outputs):
        return False
    names = [spec.name for spec in signature.outputs]
    inputs = _trial_inputs(signature)
    try:
        together = runtime.run(inputs, names)
        _require_rows(together, _TRIAL_ROWS)
        alone = [
            runtime.run({name: tensor[row : row + 1] for name, tensor in inputs.items()}, names)
            for row in range(_TRIAL_ROWS)
        ]
    except ModelFailed:
        return False
    return all(
        _same(whole[row : row + 1], part)
        for row, parts in enumerate(alone)
        for whole, part in zip(together, parts, strict=True)
    )


def _require_rows(tensors: Sequence[Tensor], rows: int) -> None:
    if any(tensor.shape[:1] != (rows,) for tensor in tensors):
        raise ModelFailed(f"The model did not answer {rows} rows with {rows} rows.")


def _judged(runtime: Runtime, error: ModelFailed, outputs: Sequence[str]) -> ModelFailed | InputRefused:
    """Whether it was the model's fault or these values': a model that fails on zeros too fails by itself."""
    try:
        check_outputs(runtime.signature.outputs, runtime.run(example_inputs(runtime.signature), outputs))
    except ModelFailed:
        return error
    return InputRefused(f"The model cannot answer these values. {error}")


def _is_batched(specs: Sequence[TensorSpec]) -> bool:
    return all(spec.shape[:1] == (-1,) for spec in specs)


def _trial_inputs(signature: Signature) -> dict[str, Tensor]:
    """A few rows that differ, within 0 and 1 but for the order of magnitude of one, in every datatype's own kind."""
    generator = np.random.default_rng(0)
    return {
        spec.name: _numbers(generator, [_TRIAL_ROWS, *(2 if size == -1 else size for size in spec.shape[1:])], spec)
        for spec in signature.inputs
    }


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
