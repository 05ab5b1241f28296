"""KServe's V1 protocol, `:predict`: rows in, predictions out.

`instances` is a list of rows. `inputs` is the same, or an object of columns. A row is a value or a list, the model's
one input without its first dimension. Or it is an object: of inputs by name, or of values by the names of the one
input's columns. Elements are checked as strictly as in V2.
"""

import base64
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import orjson

from gateway.errors import BadRequest
from gateway.protocols.json_fault import json_fault
from gateway.protocols.request import InferenceRequest, ResponseMeta, batch_size, is_one_instance
from gateway.protocols.v1_rows import Reader, column_readers, input_readers, read_nothing, row_readers
from gateway.protocols.v2_body import Scalars, quote_words
from gateway.protocols.v2_outputs import require_json
from runtimes.datatypes import BYTES, Tensor
from runtimes.manifest import Signature

_row_readers = lru_cache(maxsize=256)(row_readers)
_input_readers = lru_cache(maxsize=256)(input_readers)
_column_readers = lru_cache(maxsize=256)(column_readers)
_begins_with_objects = re.compile(rb"\[[ \t\r\n]*\{").match


class _Body(msgspec.Struct, frozen=True):
    instances: msgspec.Raw = msgspec.Raw()
    inputs: msgspec.Raw = msgspec.Raw()
    parameters: Scalars | None = None


_parse = msgspec.json.Decoder(_Body).decode


def decode(body: bytes | memoryview, signature: Signature) -> InferenceRequest:
    """Check a body against the signature and return its tensors.

    Raises:
        BadRequest: malformed JSON, neither or both of `instances` and `inputs`, rows that do not fit the model, or a
            model whose outputs V1 cannot carry.
    """
    request = _parsed(bytes(body))
    require_json(signature)
    if request.instances and request.inputs:
        raise BadRequest('The body has both "instances" and "inputs"; send one of them.')
    if not signature.inputs:
        tensors = read_nothing(request.inputs or request.instances)
    elif _begins(request.inputs, b"{"):
        tensors = _read(_column_readers(signature), request.inputs)
    else:
        tensors = read_rows(signature, request.instances, request.inputs)
    return InferenceRequest("", request.parameters or {}, tensors, None, batch_size(signature, tensors))


def read_rows(signature: Signature, instances: msgspec.Raw, inputs: msgspec.Raw) -> dict[str, Tensor]:
    """Return the tensors of a list of rows: of `inputs` if there are any, or else of `instances`.

    Raises:
        BadRequest: it is no list, or the rows do not fit the model.
    """
    name, rows = ("inputs", inputs) if inputs else ("instances", instances)
    if not _begins(rows, b"["):
        raise BadRequest(f'Expected "{name}" to be a list.')
    readers = _input_readers if inputs else _row_readers
    return _read(readers(signature, objects=_begins_with_objects(rows) is not None), rows)


def _parsed(content: bytes) -> _Body:
    if not content:
        raise BadRequest('The body is empty; send a JSON object with "instances".')
    try:
        return _parse(quote_words(content))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The body is not a V1 prediction request: {json_fault(error, content)}.") from error
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None


def _begins(raw: msgspec.Raw, bracket: bytes) -> bool:
    return bytes(memoryview(raw)[:1]) == bracket


def _read(readers: Sequence[Reader], raw: msgspec.Raw) -> dict[str, Tensor]:
    """Return what the first reader that accepts `raw` makes of it. If none does, raise the last one's error."""
    for reader in readers[:-1]:
        try:
            return reader(raw)
        except BadRequest:
            continue
    return readers[-1](raw)


def encode(
    _response: ResponseMeta, _request: InferenceRequest, signature: Signature, tensors: Sequence[Tensor]
) -> bytes:
    """Return the predictions as JSON. NaN and infinities are null.

    A prediction is a row of the one output, or of several outputs an object by name. If a request is one instance, its
    prediction is the whole output, or the object of all outputs.

    Raises:
        BadRequest: the outputs have different numbers of rows, so their rows do not belong together.
    """
    columns = {spec.name: json_rows(tensor) for spec, tensor in zip(signature.outputs, tensors, strict=True)}
    if is_one_instance(signature):
        pairs = zip(columns.items(), tensors, strict=True)
        whole = {name: rows[0] if tensor.ndim == 0 else rows for (name, rows), tensor in pairs}
        predictions = [whole if len(whole) > 1 else next(iter(whole.values()))]
    elif len(columns) == 1:
        (predictions,) = columns.values()
    else:
        if len(set(map(len, columns.values()))) > 1:
            raise BadRequest("The model's outputs have no rows in common, which V1 needs; use V2.")
        predictions = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return orjson.dumps({"predictions": predictions}, option=orjson.OPT_SERIALIZE_NUMPY)


def json_rows(tensor: Tensor) -> Any:
    """Return a sequence of rows that orjson can write. A scalar becomes one row."""
    rows = tensor.reshape(1) if tensor.ndim == 0 else np.ascontiguousarray(tensor)
    # ONNX Runtime's int64 is C's `long long`. orjson writes arrays of it, but not its scalars, so view it as NumPy's.
    return _texts(rows.tolist()) if tensor.dtype == BYTES else rows.view(rows.dtype.str)


def _texts(value: Any) -> Any:
    """Return bytes as strings; bytes that are not UTF-8 become `{"b64": ...}`, as V1 defines it."""
    if isinstance(value, list):
        return [_texts(each) for each in value]
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}
