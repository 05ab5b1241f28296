"""Makes golden requests out of what a version answers now, so that a later machine or library must answer the same."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from runtimes.datatypes import NUMPY_OF, Tensor
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.golden import golden_tensor, replay
from runtimes.manifest import Signature, TensorSpec
from runtimes.runtime import Runtime, example_inputs

MOST_BYTES = 256 * 1024
"""The largest file that is made. It is read each time that the version is loaded."""
_ROWS = 2
_HALVES = ("FP16", "BF16")
_OF_HALVES = {"relative": 0.02, "absolute": 0.01}
"""Tolerances where an answer has 11 or 8 significant bits: another processor may round in another order."""


def make_golden(runtime: Runtime, examples: Mapping[str, Tensor]) -> tuple[bytes, int, str]:
    """Return the file, the number of its requests, and why it is empty, as a sentence.

    Each request is run here, and again to see that its answer is the same.
    """
    made: list[dict[str, object]] = []
    for inputs in _requests(runtime.signature, examples):
        size = sum(tensor.size for tensor in inputs.values())
        request = _request(runtime, inputs) if size < MOST_BYTES else None
        if request is not None and len(msgspec.json.encode([*made, request])) <= MOST_BYTES:
            made.append(request)
    if not made:
        return b"", 0, f"No golden request was made: its values take more than {MOST_BYTES >> 10} KiB, or are no text."
    content = msgspec.json.format(msgspec.json.encode(made), indent=0)
    try:
        replay(runtime, content)
    except ModelRefused:
        return b"", 0, "No golden request was made: the model does not answer the same request twice alike."
    return content, len(made), ""


def _requests(signature: Signature, examples: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Return the inputs to try: the examples that came with the model, or else one row of zeros and two that vary."""
    if examples.keys() == {spec.name for spec in signature.inputs} and _fit(signature, examples):
        return [dict(examples)]
    plain = example_inputs(signature, 1)
    return [plain, _varied(signature)] if any(map(_is_made_up, signature.inputs)) else [plain]


def _is_made_up(spec: TensorSpec) -> bool:
    """Return True if an input has no values of its own, so that zeros stand for them."""
    return spec.example is None or spec.example.data is None


def _fit(signature: Signature, examples: Mapping[str, Tensor]) -> bool:
    return all(
        spec.shape_mismatch(examples[spec.name].shape) is None and examples[spec.name].dtype == NUMPY_OF[spec.datatype]
        for spec in signature.inputs
    )


def _varied(signature: Signature) -> dict[str, Tensor]:
    """Return two rows, with values of magnitude 1 where zeros would stand."""
    generator = np.random.default_rng(0)
    varied = example_inputs(signature, _ROWS)
    for spec in filter(_is_made_up, signature.inputs):
        shape, dtype = varied[spec.name].shape, NUMPY_OF[spec.datatype]
        if dtype.kind in "biu":
            varied[spec.name] = generator.integers(0, 2, shape).astype(dtype)
        elif dtype.kind != "O":
            varied[spec.name] = np.asarray(generator.normal(size=shape)).round(3).astype(dtype)
    return varied


def _request(runtime: Runtime, inputs: Mapping[str, Tensor]) -> dict[str, object] | None:
    """Return a request with its answer, or None if the model has none, or the answer cannot be written."""
    names: Sequence[str] = [spec.name for spec in runtime.signature.outputs]
    try:
        answers = runtime.run(inputs, names)
        return {
            "inputs": [golden_tensor(name, tensor) for name, tensor in inputs.items()],
            "outputs": [golden_tensor(name, tensor) for name, tensor in zip(names, answers, strict=True)],
            **(_OF_HALVES if any(spec.datatype in _HALVES for spec in runtime.signature.outputs) else {}),
        }
    except (ModelFailed, UnicodeDecodeError, AttributeError, StopIteration):
        return None
