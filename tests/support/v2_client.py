"""Many V2 clients at once, each with requests of its own, and each answer held against the right one."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tritonclient.http as triton

from runtimes.datatypes import NAME_OF, Tensor
from tests.support.onnx_kinds import assert_same

_PATIENCE_S = 240.0


def infer(client: Any, route: str, feed: dict[str, Tensor], *, binary: bool = True) -> dict[str, Tensor]:
    """Return a route's answer to one request. FP16 is sent as bytes: V2 has no JSON for it."""
    inputs = []
    for name, tensor in feed.items():
        made = triton.InferInput(name, list(tensor.shape), NAME_OF[tensor.dtype])
        made.set_data_from_numpy(tensor, binary_data=binary or tensor.dtype == np.float16)
        inputs.append(made)
    answer = client.infer(route, inputs)
    return {each["name"]: answer.as_numpy(each["name"]) for each in answer.get_response()["outputs"]}


def require_same(
    http: str,
    route: str,
    requests: Sequence[dict[str, Tensor]],
    expected: Sequence[dict[str, Any]],
    *,
    clients: int,
    tolerance: float = 1e-4,
) -> None:
    """Send requests from so many clients at once, in bytes and in JSON, and compare every answer."""

    def ask(first: int) -> None:
        client = triton.InferenceServerClient(http, connection_timeout=_PATIENCE_S, network_timeout=_PATIENCE_S)
        for position in range(first, len(requests), clients):
            answer = infer(client, route, requests[position], binary=position % 2 == 0)
            assert answer.keys() == expected[position].keys()
            for name, tensor in answer.items():
                assert_same(tensor, expected[position][name], tolerance)
        client.close()

    with ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(ask, first) for first in range(clients)]:
            done.result()
