"""What guardrails see on a live gateway: callers who leave, models exported for batch 1, and what they cannot see."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import helper

from runtimes.manifest import TensorSpec
from tests.serve.support import publish
from tests.support.estimators import Canary
from tests.support.gateway_process import GatewayProcess
from tests.support.models import onnx_content, write_version
from tests.support.polling import wait_until

CALLERS = 8
PATIENT = {"inputs": [{"name": "X", "shape": [1, 30], "datatype": "FP32", "data": [500.0] * 30}]}
QUICK = {"inputs": [{"name": "X", "shape": [1, 30], "datatype": "FP32", "data": [1.0] * 30}]}
EIGHT = {"inputs": [{"name": "x", "shape": [1, 8], "datatype": "FP32", "data": [0.5] * 8}]}


@contextmanager
def called(gateway: GatewayProcess, route: str, body: dict[str, Any], waiting_s: float) -> Iterator[None]:
    """Call a route without a pause. Each caller leaves after `waiting_s`."""
    ended = threading.Event()

    def call() -> None:
        with httpx.Client(trust_env=False, timeout=waiting_s) as client:
            while not ended.is_set():
                try:
                    client.post(f"{gateway.url}/v2/models/{route}/infer", json=body)
                except httpx.HTTPError:
                    ended.wait(0.01)

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        ended.set()
        for caller in callers:
            caller.join()


def begin(gateway: GatewayProcess, route: str, arms: dict[str, str], *guardrails: dict[str, Any], **more: Any) -> None:
    declare_rollout(gateway, route, arms, *guardrails, **more)
    assert gateway.cli("start", route, "--why", "a test").returncode == 0


def declare_rollout(
    gateway: GatewayProcess,
    route: str,
    arms: dict[str, str],
    *guardrails: dict[str, Any],
    deadline: str = "60s",
    **step: Any,
) -> None:
    gateway.declare({
        "route": route, "arms": arms, "fallback": "stable", "guardrails": list(guardrails),
        "rollout": {"of": "canary", "steps": ["50%", "100%"], "every": "10m", **step},
        "deadline": deadline,
    })  # fmt: skip


def status_of(gateway: GatewayProcess, route: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in gateway.client.status()["routes"] if each["route"] == route)
    return found


def wait_for_abort(gateway: GatewayProcess, route: str) -> str:
    """Return the command in the history that aborted the rollout."""
    wait_until(
        lambda: status_of(gateway, route)["rollout"]["phase"] == "ABORTED",
        within_s=180,
        shows=lambda: status_of(gateway, route),
    )
    what: str = json.loads(gateway.cli("history", route, "--json").stdout)[0]["what"]
    return what


@pytest.mark.parametrize(
    ("route", "guardrail", "name"),
    [
        ("hangs", {"errors": {"worse_by": "1%"}}, "callers left"),
        ("hangs-long", {"slower_than": "50ms", "worse_by": "10%"}, "slower_than 50ms"),
    ],
)
def test_a_canary_that_hangs_until_its_callers_leave_is_aborted(gateway, route, guardrail, name):
    publish(gateway, route, "1", Canary(takes_s=30.0), placement="process")
    begin(gateway, route, {"stable": "cancer:2", "canary": f"{route}:1"}, guardrail)
    with called(gateway, route, PATIENT, waiting_s=1.0):
        assert wait_for_abort(gateway, route) == f"abort canary: {name}"
    canary = next(each for each in status_of(gateway, route)["counts"] if each["arm"] == "canary")
    assert canary["left"] > canary["requests"]


def publish_linear(gateway: GatewayProcess, model: str, rows: int, of_batch: bool, first: int = 1) -> None:
    """Publish two versions. The second answers NaN only. Without `of_batch` the answer is a mean over the rows."""
    inputs = [TensorSpec("x", "FP32", (rows, 8))]
    outputs = [TensorSpec("y", "FP32", (rows, 3) if of_batch else (3,))]
    weights = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    for version, factor in ((str(first), 1.0), (str(first + 1), np.nan)):
        nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Mul", ["z", "k"], ["all"])]
        last = ["all", "axes"] if not of_batch else ["all"]
        nodes.append(
            helper.make_node(
                "Identity" if of_batch else "ReduceMean", last, ["y"], **({} if of_batch else {"keepdims": 0})
            )
        )
        constants = {"w": weights, "k": np.array([factor], np.float32)}
        if not of_batch:
            constants["axes"] = np.array([0], np.int64)
        content = onnx_content(nodes, inputs, outputs, constants)
        write_version(gateway.home / "models", model, version, content, inputs=tuple(inputs), outputs=tuple(outputs))


@pytest.mark.parametrize(
    ("route", "rows", "guardrail", "name"),
    [
        ("batch1-missing", 1, {"missing_outputs": {"worse_by": "1%"}}, "missing_outputs"),
        ("batch1-differs", 1, {"disagreement": {"above": "5%", "sample": "100%"}}, "disagreement"),
        ("mean-missing", -1, {"missing_outputs": {"worse_by": "1%"}}, "missing_outputs"),
        ("mean-differs", -1, {"disagreement": {"above": "5%", "sample": "100%"}}, "disagreement"),
    ],
)
def test_a_model_whose_answers_are_not_by_row_is_seen(gateway, route, rows, guardrail, name):
    """Exported for batch 1, or with one answer to all rows: then a request is one instance."""
    publish_linear(gateway, route, rows, of_batch=rows == 1)
    begin(gateway, route, {"stable": f"{route}:1", "canary": f"{route}:2"}, guardrail)
    with called(gateway, route, EIGHT, waiting_s=60.0):
        assert wait_for_abort(gateway, route) == f"abort canary: {name}"


def test_what_another_routes_requests_took_is_no_error_of_a_canary(gateway):
    """Rows of this model take 3 s or a millisecond. One route gets only the first kind, the other only the second."""
    publish(gateway, "paced", "1", Canary(takes_s=3.0), placement="process")
    gateway.declare({"route": "heavy", "arms": {"only": "paced:1"}, "split": {"only": "100%"}})
    for _ in range(4):
        answer = httpx.post(f"{gateway.url}/v2/models/heavy/infer", json=PATIENT, trust_env=False, timeout=60.0)
        assert answer.status_code == 200
    arms = {"stable": "cancer:2", "canary": "paced:1"}
    begin(gateway, "light", arms, {"errors": {"worse_by": "1%"}}, deadline="500ms", every="1s", samples=50)
    with called(gateway, "light", QUICK, waiting_s=60.0):
        wait_until(
            lambda: status_of(gateway, "light")["rollout"]["phase"] in ("ABORTED", "PROMOTED"),
            within_s=180,
            shows=lambda: status_of(gateway, "light"),
        )
    assert status_of(gateway, "light")["rollout"]["phase"] == "PROMOTED"
