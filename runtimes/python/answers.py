"""Turns inputs into what foreign code takes, and what it returns into outputs, or says what is wrong with it."""

from collections.abc import Sequence

import numpy as np

from runtimes.datatypes import BYTES, NUMPY_OF, Tensor, tensor_of_bytes
from runtimes.errors import ModelFailed
from runtimes.manifest import TensorSpec


def outputs_of(answer: object, specs: Sequence[TensorSpec]) -> dict[str, Tensor]:
    """Return the outputs, by name, in a dictionary that a model returned. Further keys are ignored.

    Raises:
        ModelFailed: it is no dictionary of arrays, or lacks an output.
    """
    if not isinstance(answer, dict):
        raise ModelFailed(f"predict returned {_kind(answer)}; it must return a dictionary of NumPy arrays.")
    missing = [spec.own_name for spec in specs if spec.own_name not in answer]
    if missing:
        raise ModelFailed(
            f"predict returned {', '.join(map(repr, answer)) or 'nothing'}; model.yaml also names {', '.join(missing)}."
        )
    return {spec.name: cast(spec, tensor_of(spec, _as_array(spec, answer[spec.own_name]))) for spec in specs}


def _as_array(spec: TensorSpec, value: object) -> object:
    """Return what NumPy makes of a scalar or a list. What it makes no array of stays."""
    if isinstance(value, np.ndarray):
        return value
    try:
        # as objects, because NumPy's own type for bytes drops zeros at the end
        array = np.asarray(value, BYTES if spec.datatype == "BYTES" else None)
    except Exception as error:  # ragged lists, and whatever foreign objects raise
        raise ModelFailed(f"predict returned {spec.own_name} as {_kind(value)} that is no array: {error}.") from error
    return value if array.dtype == BYTES and spec.datatype != "BYTES" else array


def cast(spec: TensorSpec, tensor: Tensor) -> Tensor:
    """Return a tensor in the datatype of its output, if that is of the same kind.

    Raises:
        ModelFailed: it holds a value that an integer datatype cannot hold.
    """
    dtype = NUMPY_OF[spec.datatype]
    if tensor.dtype == dtype or not np.can_cast(tensor.dtype, dtype, "same_kind"):
        return tensor
    converted = tensor.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(converted, tensor):
        raise ModelFailed(f"predict returned {spec.own_name} with a value that {spec.datatype} cannot hold.")
    return converted


def tensor_of(spec: TensorSpec, value: object) -> Tensor:
    """Return an array as a tensor of its own memory: text becomes BYTES. The datatype is checked later.

    Raises:
        ModelFailed: it is no array, or holds objects that are no text.
    """
    if not isinstance(value, np.ndarray):
        raise ModelFailed(f"predict returned {spec.own_name} as {_kind(value)}; it must be a NumPy array.")
    if value.dtype.kind not in "OUST":
        return np.array(value)  # the model may use its array again
    return tensor_of_bytes([_as_bytes(spec.own_name, each) for each in value.ravel().tolist()], value.shape)


def _as_bytes(name: str, element: object) -> bytes:
    if isinstance(element, bytes):
        return element
    if isinstance(element, str):
        return element.encode()
    raise ModelFailed(f"predict returned {name} with {element!r:.100}, which is no text.")


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"


def words(name: str, tensor: Tensor) -> Tensor:
    """Return BYTES as text.

    Raises:
        ModelFailed: an element is not UTF-8.
    """
    texts = np.empty(tensor.shape, BYTES)
    try:
        texts.ravel()[:] = [each.decode() for each in tensor.ravel().tolist()]
    except UnicodeDecodeError as error:
        raise ModelFailed(f"Input {name} holds a text that is not UTF-8: {error}.") from error
    return texts


def read_only(tensor: Tensor) -> Tensor:
    """Return a view that foreign code cannot write to. A request that fails is run again with the same arrays."""
    view = tensor.view()
    view.flags.writeable = False
    return view
