"""Arms that differ in what callers cannot see: batch 1 beside -1, FP32 beside FP64, names that `source` maps."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from onnx import helper

from runtimes.manifest import TensorSpec
from tests.support.models import onnx_content, write_version

WIDTH = 4
CLIENTS = 32


def publish(gateway, route: str, placement: str) -> None:
    """Write four versions of one model, `y = 2x` and `n = 7`, each exported in another way."""
    exported = [
        # rows, datatype, name of the output inside
        (-1, "FP32", "y"),
        (1, "FP32", "y"),
        (-1, "FP64", "y"),
        (1, "FP64", "y"),
    ]
    for version, (rows, datatype, name) in enumerate(exported, 1):
        inputs = (TensorSpec("x", datatype, (rows, WIDTH)),)
        y = TensorSpec("y", datatype, (rows, WIDTH), source="" if name == "y" else name)
        count = TensorSpec("n", "INT64", (rows,))
        dtype = np.float32 if datatype == "FP32" else np.float64
        nodes = [
            helper.make_node("Mul", ["x", "two"], [name]),
            helper.make_node("ReduceMin", ["x", "axes"], ["least"], keepdims=0),
            helper.make_node("Cast", ["least"], ["n"], to=7),
        ]
        constants = {"two": np.array(2, dtype), "axes": np.array([1], np.int64)}
        graph = onnx_content(nodes, inputs, (TensorSpec(name, datatype, (rows, WIDTH)), count), constants)
        write_version(
            gateway.home / "models", route, str(version), graph, inputs=inputs, outputs=(count, y), placement=placement
        )


@pytest.mark.parametrize("placement", ["replica", "process"])
@pytest.mark.parametrize("trusted", ["1", "3"])
def test_every_arm_answers_in_the_form_that_callers_see(gateway, placement, trusted):
    route = f"unlike-{placement}-{trusted}"
    publish(gateway, route, placement)
    arms = {f"v{version}": f"{route}:{version}" for version in (2, 1, 4, 3)}
    gateway.declare({"route": route, "arms": arms, "split": dict.fromkeys(arms, "25%"), "fallback": f"v{trusted}"})
    datatype, dtype = ("FP32", np.float32) if trusted == "1" else ("FP64", np.float64)

    def ask(number: int) -> str:
        rows = 1 + number % 5
        x = (np.arange(rows * WIDTH, dtype=dtype) + number).reshape(rows, WIDTH)
        tensor = {"name": "x", "datatype": datatype, "shape": list(x.shape), "data": x.ravel().tolist()}
        answer = httpx.post(f"{gateway.url}/v2/models/{route}/infer", json={"inputs": [tensor]}, timeout=60.0)
        assert answer.status_code == 200, answer.text
        by_name = {output["name"]: output for output in answer.json()["outputs"]}
        assert by_name["y"]["datatype"] == datatype
        np.testing.assert_allclose(np.array(by_name["y"]["data"]).reshape(by_name["y"]["shape"]), 2 * x)
        assert by_name["n"]["data"] == x.min(axis=1).astype(int).tolist()
        return answer.headers["x-arm"]

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert set(pool.map(ask, range(400))) == set(arms)
