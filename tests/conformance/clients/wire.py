"""What the tests and the clients' workers send each other: one line of JSON each way. Runs in every environment.

A tensor is `{"name", "datatype", "shape", "data"}`; its data are the bytes that the protocol calls raw, in Base64.
"""

import base64
import math
import struct
from typing import Any

import ml_dtypes
import numpy as np

Json = dict[str, Any]

NUMPY_OF: dict[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BF16": ml_dtypes.bfloat16,
    "BYTES": np.object_,
}


def tensor(name: str, datatype: str, array: Any) -> Json:
    """Encode an array. Its dtype must be the datatype's own, or else a client decoded wrongly."""
    if array.dtype != NUMPY_OF[datatype] and not (datatype == "BYTES" and array.dtype.kind in "SU"):
        raise TypeError(f"{name} is {datatype}, but the client made {array.dtype} of it")
    if datatype == "BYTES":
        content = b"".join(struct.pack("<I", len(each)) + each for each in map(_bytes, array.ravel().tolist()))
    else:
        content = array.tobytes()
    data = base64.b64encode(content).decode()
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": data}


def array(given: Json) -> Any:
    """Decode the array that `tensor` encoded."""
    content, shape = base64.b64decode(given["data"]), given["shape"]
    if given["datatype"] != "BYTES":
        return np.frombuffer(content, NUMPY_OF[given["datatype"]]).reshape(shape)
    elements, at = np.empty(math.prod(shape), np.object_), 0
    for index in range(elements.size):
        (length,) = struct.unpack_from("<I", content, at)
        elements[index] = content[at + 4 : at + 4 + length]
        at += 4 + length
    return elements.reshape(shape)


def from_list(name: str, datatype: str, shape: list[int], elements: list[Any]) -> Json:
    """Make a tensor of a flat list of JSON, in which numbers that JSON has no word for are None."""
    if datatype == "BYTES":
        made = np.empty(len(elements), np.object_)
        made[:] = [_bytes(each) for each in elements]
    else:
        made = np.array([math.nan if each is None else each for each in elements], NUMPY_OF[datatype])
    return tensor(name, datatype, made.reshape(shape))


def _bytes(element: Any) -> bytes:
    return element.encode() if isinstance(element, str) else element
