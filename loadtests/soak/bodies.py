"""Requests of a given size in each datatype, protocol and encoding. Their elements come from a seeded generator."""

import json
import zlib
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np

from gateway.protocols.open_inference_pb2 import ModelInferRequest
from runtimes.datatypes import NUMPY_OF

_POOL: Final = 20_000
"""Different elements. Their text is longer than the window of deflate, or else bodies would shrink a hundredfold."""
_HEAD_BYTES: Final = 16 * 1024
"""What is left of the size for everything but the elements, and for what a compression adds to random bytes."""
_WBITS: Final = {"gzip": 31, "deflate": 15}
_TEXT_BYTES: Final = 5
_FIELDS: Final = {
    "BOOL": 1, "INT8": 2, "INT16": 2, "INT32": 2, "INT64": 3, "UINT8": 4, "UINT16": 4, "UINT32": 4, "UINT64": 5,
    "FP32": 6, "FP64": 7, "BYTES": 8,
}  # fmt: skip
"""The field of InferTensorContents that holds a datatype."""


class Protocol(StrEnum):
    """A form of a prediction."""

    JSON = "json"
    BINARY = "binary"
    V1 = "v1"
    CONTENTS = "grpc contents"
    RAW = "grpc raw"

    @property
    def is_grpc(self) -> bool:
        """Return True if it goes to the gRPC port."""
        return self in (Protocol.CONTENTS, Protocol.RAW)

    @property
    def datatypes(self) -> tuple[str, ...]:
        """The datatypes that this form can carry: 16-bit floats are bytes only."""
        is_bytes = self in (Protocol.BINARY, Protocol.RAW)
        return tuple(NUMPY_OF) if is_bytes else tuple(_FIELDS)


class Body(NamedTuple):
    """The bytes of a request. `json_bytes` is the length of the JSON in front of tensor bytes, or None."""

    content: bytes
    json_bytes: int | None = None


def body_of(protocol: Protocol, route: str, datatype: str, max_bytes: int, generator: np.random.Generator) -> Body:
    """Return a request of one row for `route` that is nearly `max_bytes` long. `max_bytes` 0 means one element."""
    size = max(max_bytes - _HEAD_BYTES, 0)
    if protocol is Protocol.JSON:
        return Body(_json(datatype, size, generator))
    if protocol is Protocol.V1:
        text, _ = _texts(datatype, size, generator)
        return Body(b'{"instances": [[' + text + b"]]}")
    if protocol is Protocol.BINARY:
        return _binary(datatype, size, generator)
    return Body(_message(protocol, route, datatype, size, generator))


def compressed(body: Body, encoding: str) -> Body:
    """Return the body in an encoding of HTTP or gRPC."""
    if encoding == "identity":
        return body
    compressor = zlib.compressobj(1, wbits=_WBITS[encoding])
    return Body(compressor.compress(body.content) + compressor.flush(), body.json_bytes)


def _texts(datatype: str, size: int, generator: np.random.Generator) -> tuple[bytes, int]:
    """Return JSON values with commas between them, and how many."""
    pool = _words(datatype, generator)
    if not size:
        return pool[0], 1
    repeated = b",".join(pool) + b","
    whole, rest = divmod(size, len(repeated))
    last = repeated[:rest].rpartition(b",")[0]
    text = repeated * whole + last
    return (text if last else text[:-1]), whole * len(pool) + (last.count(b",") + 1 if last else 0)


def _words(datatype: str, generator: np.random.Generator) -> list[bytes]:
    """Return JSON values. A tenth of the floats is NaN, which JSON has no word for."""
    if datatype == "BOOL":
        return [b"true" if each else b"false" for each in generator.integers(2, size=_POOL)]
    if datatype == "BYTES":
        return [b'"%0*x"' % (_TEXT_BYTES, each) for each in generator.integers(16**_TEXT_BYTES, size=_POOL).tolist()]
    if datatype.startswith("FP"):
        words = [b"%.2f" % each for each in generator.uniform(0, 9, _POOL).tolist()]
        return [b"NaN" if number % 10 == 9 else word for number, word in enumerate(words)]
    return [b"%d" % each for each in generator.integers(100, size=_POOL).tolist()]


def _json(datatype: str, size: int, generator: np.random.Generator) -> bytes:
    text, count = _texts(datatype, size, generator)
    head = json.dumps({"name": "X", "datatype": datatype, "shape": [1, count]})[:-1].encode()
    return b'{"inputs": [' + head + b', "data": [' + text + b"]}]}"


def _tensor_bytes(datatype: str, size: int, generator: np.random.Generator) -> tuple[bytes, int]:
    """Return a tensor's bytes as they are on the wire, and how many elements they hold."""
    if datatype == "BYTES":
        count = max(size // (4 + _TEXT_BYTES), 1)
        rows = generator.integers(97, 123, (count, 4 + _TEXT_BYTES), np.uint8)
        rows[:, :4] = (_TEXT_BYTES, 0, 0, 0)
        return rows.tobytes(), count
    width = NUMPY_OF[datatype].itemsize
    count = max(size // width, 1)
    highest = 2 if datatype == "BOOL" else 256
    return generator.integers(highest, size=count * width, dtype=np.uint8).tobytes(), count


def _binary(datatype: str, size: int, generator: np.random.Generator) -> Body:
    content, count = _tensor_bytes(datatype, size, generator)
    parameters = {"binary_data_size": len(content)}
    tensor = {"name": "X", "datatype": datatype, "shape": [1, count], "parameters": parameters}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return Body(head + content, len(head))


def _message(protocol: Protocol, route: str, datatype: str, size: int, generator: np.random.Generator) -> bytes:
    request: bytes = ModelInferRequest(model_name=route).SerializeToString()
    if protocol is Protocol.RAW:
        content, count = _tensor_bytes(datatype, size, generator)
        return request + _tensor(datatype, count, b"") + _field(7, content)
    content, count = _contents(datatype, size, generator)
    return request + _tensor(datatype, count, _field(5, content))


def _tensor(datatype: str, count: int, contents: bytes) -> bytes:
    tensor = ModelInferRequest.InferInputTensor(name="X", datatype=datatype, shape=[1, count])
    return _field(5, tensor.SerializeToString() + contents)


def _contents(datatype: str, size: int, generator: np.random.Generator) -> tuple[bytes, int]:
    """Return an InferTensorContents. Integers are below 128: a byte each, so as many as the size allows."""
    number = _FIELDS[datatype]
    if datatype == "BYTES":
        count = max(size // (2 + _TEXT_BYTES), 1)
        rows = generator.integers(97, 123, (count, 2 + _TEXT_BYTES), np.uint8)
        rows[:, :2] = (number << 3 | 2, _TEXT_BYTES)
        return rows.tobytes(), count
    if datatype.startswith("FP"):
        content, count = _tensor_bytes(datatype, size, generator)
        return _field(number, content), count
    count = max(size, 1)
    highest = 2 if datatype == "BOOL" else 128
    return _field(number, generator.integers(highest, size=count, dtype=np.uint8).tobytes()), count


def _field(number: int, content: bytes) -> bytes:
    """Return a field of protobuf with a length."""
    length, left = bytearray(), len(content)
    while left > 0x7F:
        length.append(left & 0x7F | 0x80)
        left >>= 7
    length.append(left)
    return bytes((number << 3 | 2,)) + bytes(length) + content
