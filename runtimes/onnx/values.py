"""The conversion of BYTES and BF16 for ONNX Runtime, whose Python interface does not take these two as they are.

ONNX Runtime takes and returns strings as Python's `str`. Bytes that are not UTF-8 can be passed in as NumPy's
fixed-length kinds: `V` if all elements have the same length, `S` if none has a zero byte. They cannot be returned at
all. BF16 is passed as an OrtValue, whose memory is read here because no function of ONNX Runtime does so. There is no
OrtValue of strings, so a model with a BF16 output cannot also have BYTES.
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from threading import Lock
from typing import Any

import numpy as np
import onnxruntime

from runtimes.datatypes import BYTES, NUMPY_OF, Tensor
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import Signature

_BF16 = NUMPY_OF["BF16"]
_ONNX_BF16 = 16
_BF16_TYPE = "tensor(bfloat16)"
_PIECE = 16_384
_large = Lock()


def check_datatypes(signature: Signature) -> None:
    """Raise `ModelRefused` for a model that has a BF16 output and also a BYTES input or output."""
    datatypes = {spec.datatype for spec in (*signature.inputs, *signature.outputs)}
    if "BYTES" in datatypes and any(spec.datatype == "BF16" for spec in signature.outputs):
        raise ModelRefused("ONNX Runtime cannot give BF16 and handle BYTES in one model; let it answer FP32.")


def to_feed(name: str, tensor: Tensor) -> Any:
    """Convert an input for `InferenceSession.run`.

    Raises:
        ModelFailed: BYTES that are not UTF-8 and that ONNX Runtime would change.
    """
    if tensor.dtype == BYTES:
        return _strings(name, tensor)
    return _value(tensor) if tensor.dtype == _BF16 else tensor


def _strings(name: str, tensor: Tensor) -> Tensor:
    try:
        return _converted(tensor, bytes.decode)
    except UnicodeDecodeError:
        elements: list[bytes] = tensor.ravel().tolist()
    width = max(map(len, elements))
    if all(len(element) == width for element in elements):
        return np.array(elements, f"V{width}").reshape(tensor.shape)
    if not any(b"\0" in element for element in elements):
        return np.array(elements, f"S{width}").reshape(tensor.shape)
    raise ModelFailed(
        f"Tensor {name} has bytes that are not UTF-8, zero bytes, and elements of different lengths, which ONNX "
        "Runtime does not take together; send the elements one by one."
    )


def from_strings(tensor: Any) -> Any:
    """Convert an output of `InferenceSession.run`: strings become bytes. Sequences and maps are left as they are."""
    if isinstance(tensor, np.ndarray) and tensor.dtype == BYTES:
        return _converted(tensor, str.encode)
    return tensor


def _converted(tensor: Tensor, convert: Callable[[Any], Any]) -> Tensor:
    """Return a tensor of the converted elements. Python's lock is released between pieces of a few milliseconds.

    Large tensors are converted one at a time. Several threads would be no sooner done, since only one of them can run,
    and the event loop would wait for each of them.
    """
    elements = tensor.ravel()
    converted = np.empty(elements.size, BYTES)
    with _large if elements.size > _PIECE else nullcontext():
        for at in range(0, elements.size, _PIECE):
            converted[at : at + _PIECE] = [convert(element) for element in elements[at : at + _PIECE].tolist()]
    return converted.reshape(tensor.shape)


def run_with_values(session: Any, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
    """Run a model with a BF16 output."""
    feed = {name: _value(tensor) for name, tensor in inputs.items()}
    return [_tensor(value) for value in session.run_with_ort_values(outputs, feed)]


def _value(tensor: Tensor) -> Any:
    plain = np.ascontiguousarray(tensor).reshape(tensor.shape)
    if tensor.dtype == _BF16:
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(plain.view(np.uint16), _ONNX_BF16)
    return onnxruntime.OrtValue.ortvalue_from_numpy(plain)


def _tensor(value: Any) -> Tensor:
    if value.data_type() != _BF16_TYPE:
        tensor: Tensor = value.numpy()
        return tensor
    shape = tuple(value.shape())
    size_bytes = int(np.prod(shape, dtype=np.int64)) * _BF16.itemsize
    # Copy the memory: it is freed with the value.
    return np.ndarray(shape, _BF16, ctypes.string_at(value.data_ptr(), size_bytes) if size_bytes else b"")
