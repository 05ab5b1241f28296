"""Bad versions, many at once, and an alias that flaps: the old versions go on, and the reason is said."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.support_registries import Followed, open_site
from tests.support.components import by_hand
from tests.support.gateway_process import running
from tests.support.polling import wait_until
from tests.support.registry_sites import Site, times

WRONG_GOLDEN = json.dumps(
    [
        {
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [7, 7]}],
        }
    ]
).encode()
REASONS = {
    "corrupt": "cannot load the file",
    "truncated": "cannot load the file",
    "mismatch": "was changed or damaged",
    "golden": "Golden request 0: output y is 2.0",
}
CROWD = 10
"""So many versions are new at once. With 100 it takes some minutes."""
FLAPS_S, A_SECOND = 6.0, 10


@pytest.fixture(params=["directory", by_hand("s3"), "mlflow"])
def served(request, tmp_path) -> Iterator[Followed]:
    site = open_site(request.param, request, tmp_path, tmp_path.name)
    made = Followed(site, tmp_path / "var")
    with running(made.gateway):
        yield made
    site.close()


def follow(served: Followed, *models: str) -> None:
    """Serve a route for each of these models, whose version 1 is its champion."""
    for model in models:
        served.site.publish(model, "1", times(1.0))
        served.site.point(model, "champion", "1")
    for model in models:
        served.gateway.declare({"route": model, "arms": {"a": f"{model}@champion"}, "split": {"a": "100%"}})


def publish_bad(site: Site, fault: str) -> None:
    """Publish version 2 with this fault, and let the alias name it."""
    good = times({"mismatch": 20.0, "cut": 30.0}.get(fault, 2.0))  # content that is here already is not fetched
    if fault == "mismatch":
        site.publish(fault, "2", good)
        site.replace(fault, "2", "model.onnx", times(3.0))
    elif fault == "cut":
        site.publish(fault, "2", good, file="cut.onnx")
    else:
        content = {"corrupt": b"no model, but what the manifest pins", "truncated": good[:-20]}.get(fault, good)
        site.publish(fault, "2", content, golden=WRONG_GOLDEN if fault == "golden" else b"")
    site.point(fault, "champion", "2")


@contextmanager
def flapping(site: Site, model: str) -> Iterator[list[str]]:
    """Let the alias name versions 2 and 1 in turn, ten times a second, at the end 2. Yield what it has named."""
    named: list[str] = []
    stop = threading.Event()

    def flap() -> None:
        while not stop.is_set() and len(named) < FLAPS_S * A_SECOND:
            named.append("12"[len(named) % 2])
            site.point(model, "champion", named[-1])
            stop.wait(1 / A_SECOND)
        site.point(model, "champion", "2")

    thread = threading.Thread(target=flap)
    thread.start()
    yield named
    thread.join(120)
    stop.set()


@pytest.mark.timeout(600)
def test_a_bad_version_is_not_followed_and_the_reason_is_said(served):
    """A good one after it is. A download that was cut is tried again."""
    faults = list(REASONS)
    follow(served, *faults, "cut")
    with served.load(*faults, "cut") as load:
        if served.site.proxy is not None:
            served.site.proxy.fault, served.site.proxy.only = "cut", "cut.onnx"
        for fault in [*faults, "cut"]:
            publish_bad(served.site, fault)
        for fault in faults:
            served.wait(lambda: REASONS[fault] in served.warnings(fault))  # noqa: B023
        if served.site.proxy is not None:
            served.wait(lambda: "cut.onnx" in served.warnings("cut"))
            assert served.history("cut") == ["apply"]
            served.site.proxy.fault = ""
        served.wait(lambda: served.serves("cut") == {"a": "2"})
        for fault in faults:
            assert REASONS[fault] in served.warnings(fault)
            assert (served.serves(fault), served.history(fault)) == ({"a": "1"}, ["apply"])
        assert {seen.version for fault in faults for seen in load[fault].seen} == {"1"}
        for fault in faults:
            served.site.publish(fault, "3", times(4.0))
            served.site.point(fault, "champion", "3")
        for fault in faults:
            served.wait(lambda: served.serves(fault) == {"a": "3"})  # noqa: B023
            assert served.history(fault) == ["apply", "follow a to 3"]
    assert served.history("cut") == ["apply", "follow a to 2"]
    assert "QUARANTINED" in served.reasons("golden", "2")


@pytest.mark.timeout(900)
def test_many_new_versions_at_once_and_an_alias_that_flaps_change_each_arm_once(served):
    """Two routes follow the same aliases."""
    site = served.site
    follow(served, "flap")
    for number in range(1, CROWD + 2):
        site.publish("crowd", str(number), times(float(number)))
    site.publish("flap", "2", times(2.0))
    arms = {f"a{number}": f"crowd@c{number}" for number in range(1, CROWD + 1)}
    for number in range(1, CROWD + 1):
        site.point("crowd", f"c{number}", "1")
    for route in ("crowd", "twin"):
        served.gateway.declare({"route": route, "arms": arms, "split": dict.fromkeys(arms, 1 / CROWD)})
    with served.load("crowd", "twin", "flap"), flapping(site, "flap") as named:
        for number in range(1, CROWD + 1):
            site.point("crowd", f"c{number}", str(number + 1))
        wanted = {arm: str(number) for number, arm in enumerate(arms, 2)}
        for route in ("crowd", "twin"):
            served.wait(lambda: served.serves(route) == wanted, within_s=600.0)  # noqa: B023
        wait_until(lambda: len(named) >= FLAPS_S * A_SECOND, within_s=120.0)
        served.wait(lambda: served.serves("flap") == {"a": "2"})
    for route in ("crowd", "twin"):
        moved = [name for each in served.history(route)[1:] for name in each.removeprefix("follow ").split(", ")]
        assert sorted(moved) == sorted(f"{arm} to {version}" for arm, version in wanted.items())
    served.wait(lambda: served.serves("flap") == {"a": "2"} and not served.warnings("flap"))
    assert len(served.history("flap")) - 1 <= 3
