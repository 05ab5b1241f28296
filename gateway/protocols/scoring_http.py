"""The scoring protocol of MLflow's server and of SageMaker's containers: decode requests.

A JSON body has one of `dataframe_split`, `dataframe_records`, `instances` and `inputs`, and perhaps `params`. A body
may also be CSV or, as SageMaker's default containers take them, JSON lines or NumPy's own format.
"""

import math
import re
from functools import lru_cache
from io import BytesIO

import msgspec
import numpy as np

from gateway.errors import BadRequest, UnsupportedContent
from gateway.protocols.frame_csv import read_csv
from gateway.protocols.frame_json import read_columns, read_records, read_split
from gateway.protocols.json_fault import json_fault
from gateway.protocols.request import InferenceRequest, batch_size
from gateway.protocols.v1_http import read_rows
from gateway.protocols.v1_rows import read_nothing
from gateway.protocols.v2_body import Scalars, quote_words
from gateway.protocols.v2_outputs import require_json
from runtimes.datatypes import NUMPY_OF, Tensor
from runtimes.manifest import Signature

JSON, CSV, LINES, NPY = "application/json", "text/csv", "application/jsonlines", "application/x-npy"
_TYPES = (JSON, CSV, LINES, NPY)
_SAYS = {"header=present": True, "header=absent": False}
_NONE = msgspec.Raw()
_begins_with_objects = re.compile(rb"\[[ \t\r\n]*\{").match

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class _Body(msgspec.Struct, frozen=True):
    dataframe_split: msgspec.Raw = _NONE
    dataframe_records: msgspec.Raw = _NONE
    instances: msgspec.Raw = _NONE
    inputs: msgspec.Raw = _NONE
    params: Scalars | None = None


_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_parse = msgspec.json.Decoder(_Body).decode


def decode(
    body: bytes | memoryview, content_type: bytes | None, signature: Signature, *, takes_lists: bool
) -> InferenceRequest:
    """Check a body against the signature and return its tensors.

    With `takes_lists`, a JSON list is `instances`, as SageMaker's containers have it.

    Raises:
        UnsupportedContent: another content type, or another charset than UTF-8.
        BadRequest: the body is malformed, or does not fit the model.
    """
    (kind, says), content = content_type_of(content_type), bytes(body)
    require_json(signature)
    if not signature.inputs:
        parsed = _parsed(content) if kind == JSON else _Body()
        return _request(signature, read_nothing(parsed.instances or parsed.inputs), parsed.params, is_frame=False)
    if kind == CSV:
        return _request(signature, read_csv(signature, content, says), {}, is_frame=True)
    if kind == NPY:
        return _request(signature, _read_npy(signature, content), {}, is_frame=False)
    if kind == LINES:
        lines = b",".join([line for line in content.splitlines() if line.strip()])
        return _from_json(_Body(instances=msgspec.Raw(b"[" + quote_words(lines) + b"]")), signature)
    if takes_lists and content.lstrip(b" \t\r\n")[:1] == b"[":
        return _from_json(_Body(instances=msgspec.Raw(quote_words(content))), signature)
    return _from_json(_parsed(content), signature)


@lru_cache(maxsize=16)
def content_type_of(header: bytes | None) -> tuple[str, bool | None]:
    """Return the media type of a body, and whether CSV has a header, if it says so. Without a type it is JSON.

    Raises:
        UnsupportedContent: another type, another charset than UTF-8, or another parameter.
    """
    if not header:
        return JSON, None
    kind, *parameters = [part.strip() for part in header.decode("latin-1").lower().split(";")]
    if kind not in _TYPES:
        raise UnsupportedContent(f"The content type {kind[:64]!r} is not taken here; send {', '.join(_TYPES)}.")
    says: bool | None = None
    for parameter in filter(None, parameters):
        plain = parameter.replace('"', "")
        if kind == CSV and plain in _SAYS and says in (None, _SAYS[plain]):
            says = _SAYS[plain]
        elif plain not in ("charset=utf-8", "charset=utf8"):
            raise UnsupportedContent(
                f"The content type has {parameter[:64]!r}; only charset=utf-8 is taken, "
                "and for CSV one of header=present and header=absent."
            )
    return kind, says


def _parsed(content: bytes) -> _Body:
    if not content:
        raise BadRequest('The body is empty; send a JSON object with "dataframe_split", "instances" or "inputs".')
    try:
        return _parse(quote_words(content))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The body is not a scoring request: {json_fault(error, content)}.") from error
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None


def _from_json(body: _Body, signature: Signature) -> InferenceRequest:
    given = [name for name in _FORMS if getattr(body, name)]
    if len(given) != 1:
        raise BadRequest(
            f"The body must have exactly one of {', '.join(_FORMS)}; it has {' and '.join(given) or 'none'}."
        )
    if body.dataframe_split:
        return _request(signature, read_split(signature, body.dataframe_split), body.params, is_frame=True)
    if body.dataframe_records:
        return _request(signature, read_records(signature, body.dataframe_records), body.params, is_frame=True)
    rows = body.instances or body.inputs
    if _begins_with_objects(rows):
        tensors = read_records(signature, rows)
    elif bytes(memoryview(body.inputs)[:1]) == b"{":
        tensors = read_columns(signature, body.inputs)
    else:
        tensors = read_rows(signature, body.instances, body.inputs)
        if any(tensor.shape[:1] == (0,) for tensor in tensors.values()):
            raise BadRequest("The request has no rows; send at least one.")
    return _request(signature, tensors, body.params, is_frame=False)


def _read_npy(signature: Signature, content: bytes) -> dict[str, Tensor]:
    """Return the one tensor that NumPy's `save` wrote. Nothing is read that could run code.

    Raises:
        BadRequest: another format, another type than the model's, or fewer bytes than its header says.
    """
    if len(signature.inputs) != 1:
        raise BadRequest(f"{NPY} holds one array, and the model has {len(signature.inputs)} inputs; send JSON.")
    spec, file = signature.inputs[0], BytesIO(content)
    try:
        shape, is_fortran, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
    except Exception as error:  # the header is a Python literal: its tokenizer and parser raise what they like
        raise BadRequest(f"The body is not in NumPy's format: {error}.") from error
    wanted = NUMPY_OF[spec.datatype]
    if dtype.hasobject or not np.can_cast(dtype, wanted, "same_kind") or spec.datatype == "BYTES":
        raise BadRequest(f"The array is of type {dtype}; the model takes {spec.datatype}.")
    at = file.tell()
    if math.prod(shape) * dtype.itemsize != len(content) - at:
        raise BadRequest(f"The array's header says {list(shape)} of {dtype}, but {len(content) - at} bytes follow.")
    mismatch = spec.shape_mismatch(shape)
    if mismatch is not None:
        raise BadRequest(mismatch)
    flat = np.frombuffer(content, dtype, offset=at)
    array = flat.reshape(shape, order="F" if is_fortran else "C")
    with np.errstate(over="ignore"):
        return {spec.name: np.ascontiguousarray(array, wanted).reshape(shape)}


def _request(
    signature: Signature, tensors: dict[str, Tensor], params: Scalars | None, *, is_frame: bool
) -> InferenceRequest:
    return InferenceRequest("", params or {}, tensors, None, batch_size(signature, tensors), is_frame)
