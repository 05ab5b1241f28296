"""The Protocol of a loaded model version, and the checks that all runtimes share."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from runtimes.datatypes import NUMPY_OF, Tensor, zeros
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import Signature, TensorSpec

_MOST_ELEMENTS = 1 << 20


class Runtime(Protocol):
    """A loaded model version. `run` blocks, does no I/O, and may be called from several threads."""

    signature: Signature

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        """Run the model and return the named outputs, in that order.

        Raises:
            ModelFailed: the model raised.
        """


def example_inputs(signature: Signature, rows: int = 1) -> dict[str, Tensor]:
    """Return zeros of the right shape, with `rows` for every dimension that varies: for warm-up and health checks.

    See `example_shapes` for tensors with many such dimensions.
    """
    shapes = example_shapes(signature, rows, rows)
    return {spec.name: zeros(spec.datatype, shapes[spec.name]) for spec in signature.inputs}


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


def warm_up(runtime: Runtime) -> None:
    """Run the model on one and on two rows, and check its outputs against its signature.

    Raises:
        ModelRefused: the model raised, or its outputs do not match.
    """
    names = [spec.name for spec in runtime.signature.outputs]
    for rows in (1, 2):
        try:
            check_outputs(runtime.signature.outputs, runtime.run(example_inputs(runtime.signature, rows), names))
        except ModelFailed as error:
            raise ModelRefused(f"The model does not run as model.yaml says: {error}") from error
