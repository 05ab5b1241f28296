"""Models that do not run with zeros of size 1 are served, although nobody has written an example in their manifest."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from runtimes.datatypes import NAME_OF
from runtimes.manifest import TensorSpec
from tests.integration.support_loading import Watched
from tests.support.models import write_version
from tests.support.onnx_kinds import assert_same, directly, kinds
from tests.support.polling import wait_until

IMAGES, ENLARGED = (-1, 1, -1, -1), (1, 1, -1, -1)
TENSORS = {
    "unet": ((TensorSpec("x", "FP32", IMAGES),), (TensorSpec("y", "FP32", IMAGES),)),
    "upscale": (
        (TensorSpec("x", "FP32", ENLARGED), TensorSpec("scale", "FP32", (4,))),
        (TensorSpec("y", "FP32", ENLARGED),),
    ),
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Iterator[Watched]:
    made = Watched(tmp_path_factory.mktemp("examples") / "var")
    made.start()
    yield made
    try:
        made.end()
    finally:
        made.close()


def infer(watched: Watched, route: str, request: dict[str, np.ndarray]) -> Any:
    tensors = [
        {"name": name, "shape": each.shape, "datatype": NAME_OF[each.dtype], "data": each.ravel().tolist()}
        for name, each in request.items()
    ]
    return watched.request("POST", f"/v2/models/{route}/infer", {"inputs": tensors})


@pytest.mark.parametrize("placement", ["replica", "process"])
@pytest.mark.parametrize("name", TENSORS)
def test_a_model_whose_manifest_has_no_example_is_served(watched, name, placement):
    kind, (inputs, outputs) = kinds()[name], TENSORS[name]
    route = f"{name}-{placement}"
    specs = {"inputs": inputs, "outputs": outputs, "placement": placement}
    write_version(watched.models, route, "1", kind.files[kind.file], **specs)
    watched.declare({"route": route, "arms": {"a": f"{route}:1"}, "split": {"a": "100%"}})
    generator = np.random.default_rng(0)
    request = kind.request(generator)
    wait_until(
        lambda: infer(watched, route, request).status_code == 200, shows=lambda: watched.trouble(route), within_s=300.0
    )
    direct = directly(kind.files, kind.file)
    for _ in range(5):
        (answer,) = infer(watched, route, request).json()["outputs"]
        assert_same(np.array(answer["data"], "f4").reshape(answer["shape"]), direct(request)["y"])
        request = kind.request(generator)
    assert not watched.trouble(route)
    if placement == "replica":  # those of other processes are not listed
        held = {each["model"]: each for each in watched.request("GET", "/api/models").json()}
        assert (held[route]["batching"] == "batched") is kind.is_merged
    assert watched.request("GET", "/v2/health/live").status_code == 200
