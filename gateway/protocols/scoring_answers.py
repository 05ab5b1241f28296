"""The scoring protocol of MLflow's server and of SageMaker's containers: encode responses.

Which outputs a response has depends on the route alone, so that all arms answer alike:

- A model in ONNX, as the route's first arm, answers with an object of its outputs by name. To a table it answers with a
  list of such objects, one for each row.
- Any other model answers as `predict` does: with `label`, if that is its first output and one value for each row.
  Otherwise with its one output, or with a list of objects if it has several.
"""

import csv
from collections.abc import Sequence
from io import BytesIO, StringIO
from typing import Any

import numpy as np
import orjson

from gateway.errors import BadRequest
from gateway.protocols.request import InferenceRequest, ResponseMeta
from gateway.protocols.scoring_http import CSV, JSON, NPY
from gateway.protocols.v1_http import encode as encode_rows
from gateway.protocols.v1_http import json_rows
from runtimes.datatypes import BYTES, Tensor
from runtimes.manifest import Signature

_LABEL = "label"


def accepted_type(header: bytes | None) -> str:
    """Return the media type of the response to a request with this Accept: the first that it names and we have."""
    for item in (header or b"").decode("latin-1").lower().split(","):
        kind = item.partition(";")[0].strip()
        if kind in (JSON, CSV, NPY):
            return kind
    return JSON


def encode(
    kind: str,
    meta: ResponseMeta,
    request: InferenceRequest,
    signature: Signature,
    tensors: Sequence[Tensor],
    *,
    by_name: bool,
) -> bytes:
    """Return the predictions in a media type that `accepted_type` returned. NaN and infinities are null in JSON.

    Raises:
        BadRequest: the outputs cannot be written in this type.
    """
    if kind == JSON and by_name:
        return _by_name(request, signature, tensors)
    shown, values = _as_predict(signature, tensors)
    if kind == JSON:
        return encode_rows(meta, request, shown, values)
    return _csv(values) if kind == CSV else _npy(values)


def _as_predict(signature: Signature, tensors: Sequence[Tensor]) -> tuple[Signature, Sequence[Tensor]]:
    """Return the outputs that `predict` has: the label alone, if it comes first."""
    first = signature.outputs[0]
    if len(tensors) > 1 and first.name == _LABEL and first.shape in ((-1,), (1,), ()):
        return Signature(signature.inputs, (first,), signature.batch), tensors[:1]
    return signature, tensors


def _by_name(request: InferenceRequest, signature: Signature, tensors: Sequence[Tensor]) -> bytes:
    names = [spec.name for spec in signature.outputs]
    predictions: Any
    if request.is_frame:
        columns = [json_rows(tensor.reshape(-1) if tensor.shape[1:] == (1,) else tensor) for tensor in tensors]
        _require_common_rows(columns)
        predictions = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    else:
        whole = [json_rows(tensor)[0] if tensor.ndim == 0 else json_rows(tensor) for tensor in tensors]
        predictions = dict(zip(names, whole, strict=True))
    return orjson.dumps({"predictions": predictions}, option=orjson.OPT_SERIALIZE_NUMPY)


def _csv(tensors: Sequence[Tensor]) -> bytes:
    """Return a line for each row, with all values of the row."""
    columns = [np.atleast_1d(tensor) for tensor in tensors]
    _require_common_rows(columns)
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lists = [_texts(tensor.reshape(len(tensor), -1)) for tensor in columns]
    lines.writerows([value for part in parts for value in part] for parts in zip(*lists, strict=True))
    return text.getvalue().encode()


def _texts(rows: Tensor) -> list[list[Any]]:
    values: list[list[Any]] = rows.tolist()
    if rows.dtype != BYTES:
        return values
    return [[each.decode("utf-8", "replace") for each in row] for row in values]


def _npy(tensors: Sequence[Tensor]) -> bytes:
    if len(tensors) != 1 or tensors[0].dtype == BYTES:
        raise BadRequest(f"{NPY} holds one array of numbers, which the model does not answer; ask for {JSON}.")
    file = BytesIO()
    np.lib.format.write_array(file, tensors[0], allow_pickle=False)
    return file.getvalue()


def _require_common_rows(columns: Sequence[Any]) -> None:
    if len(set(map(len, columns))) > 1:
        raise BadRequest("The model's outputs have no rows in common, which a table needs; use V2.")
