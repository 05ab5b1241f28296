"""The check before a measurement: a server must return the outputs that the model returns without a server."""

import math
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import orjson

from loadtests.bench import grpc_client
from loadtests.bench.launch import Form, Launch, StartError
from loadtests.bench.payload import HEADER_LENGTH, Payload, http_body, table
from loadtests.servers.onnx_session import NUMPY_OF, open_session

_TOLERANCE: Final = 1e-5
_LIMIT_S: Final = 30.0

Outputs = dict[str, list[float]]


def expected_outputs(model: Path, payload: Payload) -> Outputs:
    """Return the model's outputs for the request, computed without a server."""
    session = open_session(model)
    arrays = session.run(None, {"X": table(payload.model, payload.rows)})
    names = [output.name for output in session.get_outputs()]
    return {name: array.ravel().tolist() for name, array in zip(names, arrays, strict=True)}


def check_server(launch: Launch, payload: Payload, expected: Outputs) -> None:
    """Send one request to a server and compare its response with the model's outputs.

    Raises:
        StartError: it rejected the request, or returned other outputs.
    """
    if payload.form is Form.GRPC:
        given = grpc_client.infer(launch.grpc_address, payload.model, table(payload.model, payload.rows))
    else:
        given = _infer_http(launch, payload)
    for name, values in expected.items():
        if not _equal(given.get(name, []), values):
            raise StartError(f"It returned {given.get(name)} for '{name}', but the model returns {values}."[:400])


def decode(content: bytes, header_bytes: int | None) -> Outputs:
    """Read a V2 response: JSON, or a JSON header and the bytes of the outputs."""
    outputs: list[dict[str, Any]] = orjson.loads(content[:header_bytes])["outputs"]
    offset, arrays = header_bytes or 0, {}
    for output in outputs:
        size = (output.get("parameters") or {}).get("binary_data_size")  # KServe sends null
        if size is None:
            arrays[output["name"]] = np.array(output["data"]).ravel().tolist()
        else:
            array = np.frombuffer(content[offset : offset + size], NUMPY_OF[output["datatype"]])
            arrays[output["name"]] = array.tolist()
            offset += size
    return arrays


def _infer_http(launch: Launch, payload: Payload) -> Outputs:
    body = http_body(payload)
    url = launch.infer_url(payload.model)
    response = httpx.post(url, content=body.content, headers=body.headers, trust_env=False, timeout=_LIMIT_S)
    if not response.is_success:
        raise StartError(f"It sent status {response.status_code} to the request: {response.text[:200]}")
    length = response.headers.get(HEADER_LENGTH)
    if payload.form is Form.BINARY and length is None:
        raise StartError("It sent JSON though binary outputs were requested.")
    try:
        return decode(response.content, int(length) if length else None)
    except (ValueError, KeyError, TypeError) as error:
        raise StartError(f"Its response is not of V2's form: {response.content[:200]!r}") from error


def _equal(given: list[float], expected: list[float]) -> bool:
    return len(given) == len(expected) and all(
        math.isclose(mine, other, abs_tol=_TOLERANCE) for mine, other in zip(given, expected, strict=True)
    )
