"""The companion is killed again and again while ten versions are fetched, adopted, tried and followed."""

import os
import random
import signal
import time
from collections.abc import Iterator

import pytest

from tests.integration.support_registries import Followed, open_site
from tests.support.components import by_hand
from tests.support.gateway_process import running
from tests.support.registry_sites import MlflowSite, times

MODELS = [f"k{number}" for number in range(10)]
KILLS, SEED = 4, 13
AT_MOST_S = 3.0
"""The longest time that a companion is left alone. It needs a second or two to start."""


@pytest.fixture(params=[by_hand("s3"), "mlflow"])
def served(request, tmp_path) -> Iterator[Followed]:
    made = Followed(open_site(request.param, request, tmp_path, tmp_path.name), tmp_path / "var")
    with running(made.gateway):
        yield made
    made.site.close()


def publish(served: Followed, model: str, version: str) -> None:
    """Publish a version; in MLflow, one without a manifest, which is adopted."""
    content = times(float(version), weight=20_000)
    if isinstance(served.site, MlflowSite):
        assert served.site.register(model, model_onnx=content) == version
    else:
        served.site.publish(model, version, content)


@pytest.mark.timeout(600)
def test_everything_is_served_at_the_end_and_no_change_was_made_twice(served):
    for model in MODELS:
        publish(served, model, "1")
        served.site.point(model, "champion", "1")
    half = len(MODELS) // 2
    routes = {
        "first": {f"a{number}": f"{model}@champion" for number, model in enumerate(MODELS[:half])},
        "second": {f"a{number}": f"{model}@champion" for number, model in enumerate(MODELS[half:])},
    }
    for route, arms in routes.items():
        served.gateway.declare({"route": route, "arms": arms, "split": dict.fromkeys(arms, 1 / half)})
    for model in MODELS:
        publish(served, model, "2")
    draw = random.Random(SEED)  # noqa: S311  # no secret
    with served.load(*routes):
        for model in MODELS:
            served.site.point(model, "champion", "2")
        for _ in range(KILLS):
            time.sleep(draw.uniform(0.0, AT_MOST_S))
            pid = served.companion()
            os.kill(pid, signal.SIGKILL)
            served.companion(other_than=pid)
        for route, arms in routes.items():
            served.wait(lambda: served.serves(route) == dict.fromkeys(arms, "2"), within_s=240.0)  # noqa: B023
    for route, arms in routes.items():
        served.wait(lambda: not served.warnings(route))  # noqa: B023
        moved = [name for each in served.history(route)[1:] for name in each.removeprefix("follow ").split(", ")]
        assert sorted(moved) == [f"{arm} to 2" for arm in sorted(arms)]
    # A companion that has just been killed may have left a file; the one that runs has removed it.
    served.wait(lambda: served.hidden() == [])
