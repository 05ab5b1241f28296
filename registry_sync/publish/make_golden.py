"""Makes golden requests out of what a version answers now, so that a later machine or library must answer the same."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from runtimes.datatypes import NUMPY_OF, Tensor
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.golden import golden_tensor, replay
from runtimes.manifest import Signature
from runtimes.runtime import Runtime, example_inputs

MOST_BYTES = 256 * 1024
"""The largest file that is made. It is read each time that the version is loaded."""
_ROWS = 2


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
    if any(spec.example is not None for spec in signature.inputs):
        return [plain]
    return [plain, _varied(signature)]


def _fit(signature: Signature, examples: Mapping[str, Tensor]) -> bool:
    return all(
        spec.shape_mismatch(examples[spec.name].shape) is None and examples[spec.name].dtype == NUMPY_OF[spec.datatype]
        for spec in signature.inputs
    )


def _varied(signature: Signature) -> dict[str, Tensor]:
    generator = np.random.default_rng(0)
    varied = {}
    for name, tensor in example_inputs(signature, _ROWS).items():
        if tensor.dtype.kind == "f":
            varied[name] = np.round(generator.normal(size=tensor.shape), 3).astype(tensor.dtype)
        elif tensor.dtype.kind in "biu":
            varied[name] = generator.integers(0, 2, tensor.shape).astype(tensor.dtype)
        else:
            varied[name] = tensor
    return varied


def _request(runtime: Runtime, inputs: Mapping[str, Tensor]) -> dict[str, object] | None:
    """Return a request with its answer, or None if the model has none, or the answer cannot be written."""
    names: Sequence[str] = [spec.name for spec in runtime.signature.outputs]
    try:
        answers = runtime.run(inputs, names)
        return {
            "inputs": [golden_tensor(name, tensor) for name, tensor in inputs.items()],
            "outputs": [golden_tensor(name, tensor) for name, tensor in zip(names, answers, strict=True)],
        }
    except (ModelFailed, UnicodeDecodeError, AttributeError, StopIteration):
        return None
