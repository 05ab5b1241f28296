"""The Protocol of a loaded model version, and the checks that all runtimes share."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from msgspec.structs import replace

from runtimes.datatypes import NAME_OF, NUMPY_OF, Tensor, tensor_of_bytes, zeros
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import Example, Signature, TensorSpec
from runtimes.manifest_text import check_example_sizes

_MOST_ELEMENTS = 1 << 20
_HOW_TO_GIVE = (
    " If the model cannot answer that, give an example in model.yaml, such as `example: {shape: [1, 3, 64, 64]}` or "
    "`example: {data: [[1, 2]]}` for an input."
)


class Runtime(Protocol):
    """A loaded model version. `run` blocks, does no I/O, and may be called from several threads.

    `unbatched_because` says why requests must never be merged, as a clause; if it is empty, `why_unbatched` tries it.
    """

    signature: Signature
    unbatched_because: str

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        """Run the model and return the named outputs, in that order.

        Raises:
            ModelFailed: the model raised.
        """


@runtime_checkable
class Interruptible(Protocol):
    """A runtime whose runs can be broken off."""

    def limited(self, limit_s: float) -> Runtime:
        """Return the same model for a warm-up: a run that takes longer than the limit is broken off, and fails."""


def example_inputs(signature: Signature, rows: int = 1) -> dict[str, Tensor]:
    """Return inputs for warm-up, timing and health checks, with `rows` instances if a request may hold several.

    An input has the values of its example. Without one it has zeros, with `rows` for every dimension that varies (see
    `example_shapes` for tensors with many such dimensions).
    """
    shapes = example_shapes(signature, rows, rows)
    return {
        spec.name: zeros(spec.datatype, shapes[spec.name])
        if spec.example is None
        else _example(spec, spec.example, rows if signature.counts_instances(spec) else None)
        for spec in signature.inputs
    }


def with_examples(signature: Signature, examples: Mapping[str, Example]) -> Signature:
    """Return a signature with an example for each of the inputs named."""
    inputs = tuple(
        replace(spec, example=examples[spec.name]) if spec.name in examples else spec for spec in signature.inputs
    )
    return replace(signature, inputs=inputs)


def found_examples(own: Signature, declared: Signature) -> dict[str, Example]:
    """Return the examples that a runtime has and its manifest has not."""
    without = {spec.name for spec in declared.inputs if spec.example is None}
    return {spec.name: spec.example for spec in own.inputs if spec.example is not None and spec.name in without}


def _example(spec: TensorSpec, example: Example, rows: int | None) -> Tensor:
    """Return the example of an input, repeated or cut so that it has `rows` instances."""
    given = _given(spec, example)
    if rows is None or len(given) == rows or not len(given):
        return given
    return np.resize(given, (rows, *given.shape[1:]))  # repeats from the beginning


def given_rows(spec: TensorSpec) -> Tensor:
    """Return the instances of an input's example; it must have one."""
    assert spec.example is not None  # noqa: S101  # for the type checker
    return _given(spec, spec.example)


def _given(spec: TensorSpec, example: Example) -> Tensor:
    dtype = NUMPY_OF[spec.datatype]
    if example.data is None:
        return zeros(spec.datatype, example.shape or ())
    array = np.array(example.data, object if spec.datatype == "BYTES" else None)
    if spec.datatype == "BYTES":
        array = tensor_of_bytes([str(each).encode() for each in array.ravel().tolist()], array.shape)
    array = array.astype(dtype, copy=False)
    if example.shape is not None:
        array = np.full(example.shape, array[()] if array.ndim == 0 else array, dtype)
    return array


def check_examples(signature: Signature) -> None:
    """Check that every example is an input of its tensor.

    Raises:
        ModelRefused: one has another shape, or values that its datatype cannot hold, or they have too many elements.
    """
    check_example_sizes(signature.inputs)
    for spec in signature.inputs:
        if spec.example is None:
            continue
        try:
            mismatch = spec.shape_mismatch(_given(spec, spec.example).shape)
        except (TypeError, ValueError, OverflowError) as error:
            mismatch = f"{error}."
        if mismatch is not None:
            raise ModelRefused(f"The example of input {spec.name} does not fit it: {mismatch}")


def example_shapes(signature: Signature, rows: int, side: int) -> dict[str, list[int]]:
    """Return a shape of each input: `rows` for the first dimension if it varies, `side` for each other that does.

    If a tensor would have more than `_MOST_ELEMENTS`, all these sides are shorter: 16 to the power of 8 is 4 billion.
    """
    while True:
        shapes = {
            spec.name: [
                size if size != -1 else rows if position == 0 else side for position, size in enumerate(spec.shape)
            ]
            for spec in signature.inputs
        }
        if side == 1 or max(map(math.prod, shapes.values()), default=0) <= _MOST_ELEMENTS:
            return shapes
        side -= 1


def check_outputs(specs: Sequence[TensorSpec], tensors: Sequence[Tensor]) -> None:
    """Check a model's outputs against its signature.

    Raises:
        ModelFailed: the number of outputs, a datatype or a shape differs.
    """
    if len(tensors) != len(specs):
        raise ModelFailed(f"The model returned {len(tensors)} outputs; its signature has {len(specs)}.")
    for spec, tensor in zip(specs, tensors, strict=True):
        if tensor.dtype != NUMPY_OF[spec.datatype] or spec.shape_mismatch(tensor.shape) is not None:
            raise ModelFailed(
                f"The model returned {spec.name} as {tensor.dtype} {list(tensor.shape)}; "
                f"its signature says {spec.datatype} {list(spec.shape)}."
            )


def warm_up(runtime: Runtime, max_rows: int = 2) -> None:
    """Run the model on one instance, and on two if a run may have so many. Check its outputs against its signature.

    Raises:
        ModelRefused: the model raised, or its outputs do not match. The sentence says which input was tried.
    """
    signature = runtime.signature
    check_examples(signature)
    names = [spec.name for spec in signature.outputs]
    for rows in range(1, min(max_rows, 2) + 1):
        inputs = example_inputs(signature, rows)
        advice = "" if all(spec.example for spec in signature.inputs) else _HOW_TO_GIVE
        try:
            tensors = runtime.run(inputs, names)
            advice = _declaration(signature, tensors, rows)
            check_outputs(signature.outputs, tensors)
        except ModelFailed as error:
            raise ModelRefused(
                f"The model does not run as model.yaml says: {error} (Tried with {_tried(signature, inputs)}.{advice})"
            ) from error


def _tried(signature: Signature, inputs: Mapping[str, Tensor]) -> str:
    """Return what the model was given."""
    return ", ".join(
        f"{spec.name} = {'zeros' if spec.example is None else 'its example'} {list(inputs[spec.name].shape)}"
        for spec in signature.inputs
    )


def _declaration(signature: Signature, tensors: Sequence[Tensor], rows: int) -> str:
    """Return a sentence that says what to write of the outputs that a model has given otherwise than declared."""
    varies = any(spec.shape[:1] == (-1,) for spec in signature.inputs)
    differing = [
        f"{_as_given(spec, tensor, rows if varies else None)} for {spec.name}"
        for spec, tensor in zip(signature.outputs, tensors, strict=False)
        if tensor.dtype != NUMPY_OF[spec.datatype] or spec.shape_mismatch(tensor.shape) is not None
    ]
    return f" To take what it answers, write {', '.join(differing)} in model.yaml." * bool(differing)


def _as_given(spec: TensorSpec, tensor: Tensor, rows: int | None) -> str:
    """Return the keys of an output that a tensor shows. What differs first with two instances has varied."""
    declared = spec.shape if len(spec.shape) == tensor.ndim else tensor.shape
    shape = [
        -1 if said == -1 or (said != size and rows == 2) or (position == 0 and size == rows) else size
        for position, (said, size) in enumerate(zip(declared, tensor.shape, strict=True))
    ]
    datatype = NAME_OF.get(tensor.dtype, spec.datatype)
    return f"`{f'datatype: {datatype}, ' * (datatype != spec.datatype)}shape: {shape}`"
