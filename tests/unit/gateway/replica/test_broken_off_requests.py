"""A request that blocks the event loop in Python gets an error on both ports, and the others their responses."""

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import grpc
import pytest

from gateway.protocols import open_inference_pb2 as pb
from tests.support.polling import PATIENCE_S
from tests.support.ports import free_port

WEDGED_AFTER_S = 8.0


def spin(*_: object) -> bool:
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        pass
    return True


@pytest.fixture
def blocked(serving, settings_of, tmp_path):
    """Serve a route `plain` whose condition loops, and others."""
    with serving(settings_of(tmp_path, wedged_after_s=WEDGED_AFTER_S, grpc_port=free_port())) as gateway:
        holder = gateway.replica._holder
        table = holder.current
        looping = replace(table.routes["plain"], targeting=SimpleNamespace(matches=spin))
        holder.current = replace(table, routes={**table.routes, "plain": looping})
        yield gateway


def test_over_http_it_is_a_500_in_json_and_the_others_are_served(blocked):
    others = []
    thread = threading.Thread(target=lambda: others.append(blocked.infer("half", headers={"x-user-id": "u"})))
    timer = threading.Timer(0.5, thread.start)
    timer.start()
    began_s = time.monotonic()
    response = blocked.http.post(
        "/v2/models/plain/infer",
        json={"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]},
        timeout=PATIENCE_S,
    )
    took_s = time.monotonic() - began_s
    assert (response.status_code, response.headers["x-error"]) == (500, "BrokenOff")
    assert "broken off" in response.json()["error"]
    assert WEDGED_AFTER_S / 4 < took_s < PATIENCE_S / 2
    timer.join()
    thread.join()
    assert others[0].status_code == 200
    assert blocked.infer("half", headers={"x-user-id": "u"}).status_code == 200  # on the same connection


def test_over_grpc_it_is_internal_and_the_connection_goes_on(blocked):
    tensor = pb.ModelInferRequest.InferInputTensor(name="X", datatype="FP32", shape=[1, 4])
    tensor.contents.fp32_contents.extend([1, 2, 3, 4])
    with grpc.insecure_channel(f"127.0.0.1:{blocked.replica._settings.grpc_port}") as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            pb.ModelInferRequest.SerializeToString,
            pb.ModelInferResponse.FromString,
        )
        with pytest.raises(grpc.RpcError) as failed:
            infer(pb.ModelInferRequest(model_name="plain", inputs=[tensor]), timeout=PATIENCE_S)
        assert failed.value.code() == grpc.StatusCode.INTERNAL
        assert "broken off" in failed.value.details()
        assert infer(pb.ModelInferRequest(model_name="half", inputs=[tensor]), timeout=PATIENCE_S).model_name == "half"
