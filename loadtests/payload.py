"""The one request that every server gets, and the check that every server gives the right answer to it."""

import math
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import orjson
from sklearn.datasets import load_breast_cancer

from loadtests.processes import Launch, StartError
from loadtests.servers.onnx_session import OUTPUT_NAMES, open_session, run

_TOLERANCE: Final = 1e-5

Answer = dict[str, list[float]]


def request_body() -> bytes:
    """Return a V2 request with the first row of scikit-learn's breast cancer data."""
    row = load_breast_cancer().data[0].tolist()
    tensor = {"name": "X", "shape": [1, len(row)], "datatype": "FP32", "data": row}
    return orjson.dumps({"inputs": [tensor]})


def expected_answer(model: Path, body: bytes) -> Answer:
    """Return what the model says to the request, asked without a server."""
    (tensor,) = orjson.loads(body)["inputs"]
    rows = np.array(tensor["data"], dtype=np.float32).reshape(tensor["shape"])
    arrays = run(open_session(model), rows)
    return {name: array.ravel().tolist() for name, array in zip(OUTPUT_NAMES, arrays, strict=True)}


def check_answer(launch: Launch, body: bytes, expected: Answer) -> None:
    """Ask a server once, and refuse to measure it if its answer is not the model's."""
    headers = {"content-type": "application/json"}
    answer = httpx.post(launch.infer_url, content=body, headers=headers, trust_env=False, timeout=30)
    if not answer.is_success:
        raise StartError(f"It answered {answer.status_code} to the request: {answer.text[:200]}")
    given = _outputs(answer.json())
    for name, values in expected.items():
        if not _equal(given.get(name, []), values):
            raise StartError(f"It answered {given.get(name)} for '{name}', but the model says {values}.")


def _outputs(answer: dict[str, Any]) -> Answer:
    return {output["name"]: output["data"] for output in answer["outputs"]}


def _equal(given: list[float], expected: list[float]) -> bool:
    return len(given) == len(expected) and all(
        math.isclose(mine, other, abs_tol=_TOLERANCE) for mine, other in zip(given, expected, strict=True)
    )
