"""The content of a request: the same rows for every server, in the form that a scenario names."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import orjson
from sklearn.datasets import load_breast_cancer

from loadtests.bench.launch import Form
from loadtests.bench.models import WIDE, WIDE_COLUMNS

HEADER_LENGTH: Final = "Inference-Header-Content-Length"

Rows = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Payload:
    """The model, the form and the number of rows of a request."""

    model: str
    form: Form
    rows: int

    def __str__(self) -> str:
        return f"{self.model}-{self.form}-{self.rows}"


@dataclass(frozen=True, slots=True)
class Body:
    """The body of an HTTP request. Its first `json_bytes` are the JSON header if tensors follow it."""

    content: bytes
    json_bytes: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP headers that say how to read the bytes."""
        if self.json_bytes is None:
            return {"content-type": "application/json"}
        return {"content-type": "application/octet-stream", HEADER_LENGTH: str(self.json_bytes)}


@cache
def table(model: str, rows: int) -> Rows:
    """Return the first rows of scikit-learn's breast cancer data, or for the model `wide` noise from a fixed seed."""
    if model == WIDE:
        return np.random.default_rng(0).random((rows, WIDE_COLUMNS), dtype=np.float32)
    data: Rows = load_breast_cancer().data[:rows].astype(np.float32)
    return data


def http_body(payload: Payload) -> Body:
    """Return the request as JSON, or as a JSON header and the tensor's bytes. It asks for outputs in the same form."""
    rows = table(payload.model, payload.rows)
    tensor: dict[str, Any] = {"name": "X", "shape": list(rows.shape), "datatype": "FP32"}
    if payload.form is Form.JSON:
        document = {"inputs": [{**tensor, "data": rows.ravel()}]}
        return Body(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))
    tensor["parameters"] = {"binary_data_size": rows.nbytes}
    header = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    return Body(header + rows.tobytes(), len(header))


def request_body() -> bytes:
    """Return a V2 request with the first row of scikit-learn's breast cancer data."""
    return http_body(Payload("cancer", Form.JSON, 1)).content
