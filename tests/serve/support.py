"""What the tests of a cluster do to a gateway: publish versions beside the demo's, and ask single questions."""

from typing import Any

import httpx

from runtimes.manifest_text import parse_manifest
from tests.support.estimators import Mischief
from tests.support.gateway_process import GatewayProcess
from tests.support.models import pickled, write_version


def publish(gateway: GatewayProcess, model: str, version: str, estimator: object, **manifest: Any) -> None:
    """Publish an estimator with the signature of the demo's model `cancer`."""
    models = gateway.home / "models"
    demo = parse_manifest((models / "cancer/1/model.yaml").read_text())
    signature = {"inputs": demo.inputs, "outputs": demo.outputs}
    write_version(models, model, version, pickled(estimator), file="model.pkl", **signature, **manifest)


def declare_mischief(gateway: GatewayProcess, route: str, *, placement: str = "replica", **spec: Any) -> dict[str, Any]:
    """Publish a `Mischief` and declare a route to it, with cancer:2 as its fallback. Return the declaration."""
    publish(gateway, route, "1", Mischief(), placement=placement)
    declared = {
        "route": route,
        "arms": {"odd": f"{route}:1", "stable": "cancer:2"},
        "split": {"odd": "100%"},
        "fallback": "stable",
        **spec,
    }
    gateway.declare(declared)
    return declared


def order(gateway: GatewayProcess, route: str, what: int, timeout_s: float = 60.0) -> httpx.Response:
    """Ask a route for one prediction, of which the first feature is an order to `Mischief`."""
    tensor = {"name": "X", "shape": [1, 30], "datatype": "FP32", "data": [what] + [0] * 29}
    url = f"{gateway.url}/v2/models/{route}/infer"
    return httpx.post(url, json={"inputs": [tensor]}, timeout=timeout_s, trust_env=False)
