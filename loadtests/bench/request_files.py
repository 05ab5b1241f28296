"""Request files in the forms that the load generators read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from loadtests.bench.launch import Form
from loadtests.bench.payload import Payload, http_body, table


@dataclass(frozen=True, slots=True)
class Request:
    """A file with the body to send, and the headers to send with it."""

    file: Path
    content_bytes: int
    headers: Mapping[str, str]
    json_bytes: int | None = None


def write_request(payload: Payload, folder: Path) -> Request:
    """Write the body of an HTTP request, or for gRPC the rows in perf_analyzer's own format."""
    file = folder / f"request-{payload}"
    if payload.form is Form.GRPC:
        rows = table(payload.model, payload.rows)
        file.write_bytes(grpc_data(payload))
        return Request(file, rows.nbytes, {})
    body = http_body(payload)
    file.write_bytes(body.content)
    return Request(file, len(body.content), body.headers, body.json_bytes)


def grpc_data(payload: Payload) -> bytes:
    """Return the JSON document with perf_analyzer's input tensors. Their shape is passed on its command line."""
    rows = table(payload.model, payload.rows)
    return orjson.dumps({"data": [{"X": rows.ravel()}]}, option=orjson.OPT_SERIALIZE_NUMPY)
