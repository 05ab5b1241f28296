"""Bad versions, many at once, and an alias that flaps, in each registry: the old version goes on, and the reason is said."""

import json
import threading
import time
from collections.abc import Iterator

import pytest

from tests.integration.support_registries import Followed, open_site
from tests.support.gateway_process import running
from tests.support.registry_sites import Site, times

KINDS = ("directory", "s3", "mlflow")
GOOD = times(1.0)
WRONG_GOLDEN = json.dumps(
    [{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}],
      "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [7, 7]}]}]
).encode()  # fmt: skip
BAD = {
    "corrupt": "",
    "mismatch": "sha256",
    "golden": "golden",
    "truncated": "",
    "unfinished": "",
    "crowd": "",
}
ONE = {"split": {"a": "100%"}}


def bad_version(site: Site, fault: str) -> None:
    """Publish version 2 of a model with this fault, and let the alias name it."""
    if fault == "corrupt":
        site.publish(fault, "2", b"no model, but what the manifest pins")
    elif fault == "mismatch":
        site.publish(fault, "2", times(2.0))
        site.replace(fault, "2", "model.onnx", times(3.0))
    elif fault == "golden":
        site.publish(fault, "2", times(2.0), golden=WRONG_GOLDEN)
    elif fault == "truncated":
        site.publish(fault, "2", times(2.0)[:-20])
    site.point(fault, "champion", "2")
