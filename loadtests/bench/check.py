"""Asks every server once before it is measured, and refuses to measure one whose answer is not the model's. Acts."""

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

Answer = dict[str, list[float]]


def expected_answer(model: Path, payload: Payload) -> Answer:
    """Return what the model says to the request, asked without a server."""
    session = open_session(model)
    arrays = session.run(None, {"X": table(payload.model, payload.rows)})
    names = [output.name for output in session.get_outputs()]
    return {name: array.ravel().tolist() for name, array in zip(names, arrays, strict=True)}


def check_answer(launch: Launch, payload: Payload, expected: Answer) -> None:
    """Ask a server once and hold its answer against the model's.

    Raises:
        StartError: it refused, or answered something else.
    """
    if payload.form is Form.GRPC:
        given = grpc_client.infer(launch.grpc_address, payload.model, table(payload.model, payload.rows))
    else:
        given = _ask_http(launch, payload)
    for name, values in expected.items():
        if not _equal(given.get(name, []), values):
            raise StartError(f"It answered {given.get(name)} for '{name}', but the model says {values}."[:400])


def decode(content: bytes, header_bytes: int | None) -> Answer:
    """Read a V2 answer: JSON, or a JSON header and the bytes of the outputs."""
    outputs: list[dict[str, Any]] = orjson.loads(content[:header_bytes])["outputs"]
    offset, answer = header_bytes or 0, {}
    for output in outputs:
        size = (output.get("parameters") or {}).get("binary_data_size")  # KServe says null
        if size is None:
            answer[output["name"]] = np.array(output["data"]).ravel().tolist()
        else:
            array = np.frombuffer(content[offset : offset + size], NUMPY_OF[output["datatype"]])
            answer[output["name"]] = array.tolist()
            offset += size
    return answer


def _ask_http(launch: Launch, payload: Payload) -> Answer:
    body = http_body(payload)
    url = launch.infer_url(payload.model)
    answer = httpx.post(url, content=body.content, headers=body.headers, trust_env=False, timeout=_LIMIT_S)
    if not answer.is_success:
        raise StartError(f"It answered {answer.status_code} to the request: {answer.text[:200]}")
    length = answer.headers.get(HEADER_LENGTH)
    if payload.form is Form.BINARY and length is None:
        raise StartError("It answered JSON though binary outputs were asked for.")
    try:
        return decode(answer.content, int(length) if length else None)
    except (ValueError, KeyError, TypeError) as error:
        raise StartError(f"Its answer is not of V2's form: {answer.content[:200]!r}") from error


def _equal(given: list[float], expected: list[float]) -> bool:
    return len(given) == len(expected) and all(
        math.isclose(mine, other, abs_tol=_TOLERANCE) for mine, other in zip(given, expected, strict=True)
    )
