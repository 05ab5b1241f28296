"""Golden requests: requests with the answers that a version must give, beside the artifact.

The file is JSON: a list of objects with `inputs` and `outputs`, each a list of tensors as in the Open Inference
Protocol (`name`, `datatype`, `shape`, `data`), and optionally `relative` and `absolute`, the tolerances of floats.
Outputs that a golden request does not name are not compared.
"""

import json
import math
from typing import Any

import msgspec
import numpy as np

from runtimes.datatypes import NUMPY_OF, Tensor, tensor_of_bytes
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.runtime import Runtime

RELATIVE, ABSOLUTE = 1e-4, 1e-5
"""Another processor, or another order of summation, may change an FP32 result by so much."""

MOST_BYTES = 4 * 1024 * 1024
"""Of a file of golden requests. While 19 MiB are read and run, other threads of a replica stop for 0.6 s."""


class GoldenTensor(msgspec.Struct, frozen=True):
    """A tensor as in a V2 request. `data` is flat or nested. null is NaN, "inf" and "-inf" are the infinities."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[Any]


class GoldenRequest(msgspec.Struct, frozen=True):
    """A request, and the outputs that it must get."""

    inputs: tuple[GoldenTensor, ...]
    outputs: tuple[GoldenTensor, ...] = ()
    relative: float = RELATIVE
    absolute: float = ABSOLUTE


_parse = msgspec.json.Decoder(list[GoldenRequest]).decode


def golden_requests(content: bytes) -> list[GoldenRequest]:
    """Read a file of golden requests.

    Raises:
        ModelRefused: it is not such a file, or it is too large.
    """
    if len(content) > MOST_BYTES:
        raise ModelRefused(
            f"The golden requests take {len(content) / (1 << 20):.1f} MiB, and may take {MOST_BYTES >> 20} MiB: "
            "give fewer requests, or fewer rows in each."
        )
    try:
        return _parse(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelRefused(f"The golden requests cannot be read: {error}.") from error


def golden_inputs(content: bytes) -> list[dict[str, Tensor]]:
    """Return the inputs of golden requests. Raises like `golden_requests`."""
    return [{tensor.name: _array(tensor) for tensor in request.inputs} for request in golden_requests(content)]


def replay(runtime: Runtime, content: bytes) -> int:
    """Run golden requests, and compare the answers. Return how many there were.

    Raises:
        ModelRefused: the model does not answer one as it must. The sentence says which, and the values.
    """
    requests = golden_requests(content)
    for position, request in enumerate(requests):
        names = [tensor.name for tensor in request.outputs]
        inputs = {tensor.name: _array(tensor) for tensor in request.inputs}
        known = {spec.name for spec in runtime.signature.inputs}, {spec.name for spec in runtime.signature.outputs}
        if inputs.keys() != known[0] or not known[1].issuperset(names):
            raise ModelRefused(f"Golden request {position} does not have the inputs and outputs of model.yaml.")
        try:
            answers = runtime.run(inputs, names or [spec.name for spec in runtime.signature.outputs])[: len(names)]
        except ModelFailed as error:
            raise ModelRefused(f"Golden request {position} is not answered: {error}") from error
        for expected, answer in zip(request.outputs, answers, strict=True):
            _require_same(position, request, expected, answer)
    return len(requests)


def _require_same(position: int, request: GoldenRequest, expected: GoldenTensor, answer: Tensor) -> None:
    want = _array(expected)
    if want.shape == answer.shape and want.dtype == answer.dtype:
        if want.dtype.kind in "biuO":
            same = want == answer
        else:
            wide, wanted = answer.astype(np.float64), want.astype(np.float64)
            same = np.isclose(wide, wanted, rtol=request.relative, atol=request.absolute, equal_nan=True)
        if np.all(same):
            return
        at = tuple(int(index) for index in np.argwhere(~np.asarray(same))[0])
        found = f"{_plain(answer[at])} at {list(at)}, and must be {_plain(want[at])}"
    else:
        found = f"{answer.dtype} {list(answer.shape)}, and must be {want.dtype} {list(want.shape)}"
    raise ModelRefused(f"Golden request {position}: output {expected.name} is {found}.")


def _array(tensor: GoldenTensor) -> Tensor:
    try:
        if tensor.datatype == "BYTES":
            flat = np.array(tensor.data, object).ravel().tolist()
            return tensor_of_bytes([str(each).encode() for each in flat], tensor.shape)
        dtype = NUMPY_OF[tensor.datatype]
        if dtype.kind in "fV":
            return np.array(tensor.data, np.float64).astype(dtype).reshape(tensor.shape)
        return np.array(tensor.data, dtype).reshape(tensor.shape)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelRefused(f"The golden requests hold a tensor {tensor.name} that cannot be read: {error}.") from error


def _plain(value: Any) -> str:
    """Return a number as people write it, and a text in quotation marks."""
    return json.dumps(value.decode(errors="replace")) if isinstance(value, bytes) else str(value)


def golden_tensor(name: str, tensor: Tensor) -> dict[str, Any]:
    """Return what `replay` reads back as this tensor."""
    datatype = next(each for each, dtype in NUMPY_OF.items() if dtype == tensor.dtype)
    flat = tensor.ravel().tolist()
    data = [each.decode() if isinstance(each, bytes) else _in_json(each) for each in flat]
    return {"name": name, "datatype": datatype, "shape": list(tensor.shape), "data": data}


def _in_json(value: Any) -> Any:
    """Return a number as JSON can hold it, which has neither NaN nor infinities."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)
