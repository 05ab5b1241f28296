"""Bad versions, many at once, and an alias that flaps: the old versions go on, and the reason is said."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice

import numpy as np
import psutil
import pytest

from tests.integration.support_registries import Followed, open_site
from tests.support.components import by_hand
from tests.support.gateway_process import running
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
A_SECOND = 10
ARMS = 50
"""A route may have 64."""


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
def flapping(site: Site, model: str, for_s: float) -> Iterator[list[str]]:
    """Let the alias name versions 2 and 1 in turn, ten times a second, at the end 2. Yield what it has named."""
    named: list[str] = []
    stop = threading.Event()

    def flap() -> None:
        began_s = time.monotonic()
        while not stop.is_set() and time.monotonic() - began_s < for_s:
            named.append("12"[len(named) % 2])
            site.point(model, "champion", named[-1])
            stop.wait(began_s + len(named) / A_SECOND - time.monotonic())
        site.point(model, "champion", "2")

    thread = threading.Thread(target=flap)
    thread.start()
    try:
        yield named
        thread.join(for_s + 120)
    finally:
        stop.set()
        thread.join(120)


def publish_crowd(site: Site, crowd: int) -> list[int]:
    """Publish versions 2 to `crowd` + 1 of a model, of which every second one is bad. Return the good ones."""
    for number in range(1, crowd + 2):
        content = b"no model" if number % 4 == 3 else times(float(number))
        site.publish("crowd", str(number), content, golden=WRONG_GOLDEN if number % 4 == 1 and number > 1 else b"")
    return list(range(2, crowd + 2, 2))


def memory_mb(served: Followed) -> str:
    """Return what the processes of the gateway take."""
    assert served.gateway.process is not None
    pids = {"replica": served.gateway.process.pid, "companion": served.companion()}
    return ", ".join(f"{name} {psutil.Process(pid).memory_info().rss / 1e6:.0f} MB" for name, pid in pids.items())


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


@pytest.mark.timeout(2400)
@pytest.mark.parametrize(("crowd", "flaps_s"), [(10, 6.0), by_hand(100, 60.0)])
def test_many_new_versions_at_once_and_an_alias_that_flaps_change_each_arm_once(served, crowd, flaps_s):
    """Every second version is bad: its arm goes on as it was. Two routes follow the same aliases."""
    site = served.site
    follow(served, "flap")
    good = publish_crowd(site, crowd)
    site.publish("flap", "2", times(2.0))
    arms = {f"a{number}": f"crowd@c{number}" for number in range(2, crowd + 2)}
    for number in range(2, crowd + 2):
        site.point("crowd", f"c{number}", "1")
    parts = [dict(islice(arms.items(), first, first + ARMS)) for first in range(0, crowd, ARMS)]
    routes = {"twin": parts[0], **{f"crowd{number}": part for number, part in enumerate(parts)}}
    for route, part in routes.items():
        served.gateway.declare({"route": route, "arms": part, "split": dict.fromkeys(part, 1 / len(part))})
    before_mb = memory_mb(served)
    with served.load(*routes, "flap") as load, flapping(site, "flap", flaps_s) as named:
        began_s = time.monotonic()
        for number in range(2, crowd + 2):
            site.point("crowd", f"c{number}", str(number))
        served.wait(lambda: "trying crowd:" in served.warnings("crowd0"))
        wanted = {arm: arm[1:] if int(arm[1:]) in good else "1" for arm in arms}
        for route, part in routes.items():
            served.wait(lambda: served.serves(route) == {arm: wanted[arm] for arm in part}, within_s=1200.0)  # noqa: B023
            served.wait(lambda: are_bad_named(served, route, part), within_s=600.0)  # noqa: B023
        took_s = time.monotonic() - began_s
    served.wait(lambda: served.serves("flap") == {"a": "2"} and not served.warnings("flap"))
    flaps = len(served.history("flap")) - 1
    assert flaps <= 3
    for route, part in routes.items():
        moved = [name for each in served.history(route)[1:] for name in each.removeprefix("follow ").split(", ")]
        assert sorted(moved) == sorted(f"{arm} to {wanted[arm]}" for arm in part if wanted[arm] != "1")
        for seen in load[route].seen:
            assert seen.version in {"1", wanted[seen.arm]}
    took_ms = [1000 * seen.took_s for each in load.values() for seen in each.seen]
    print(  # noqa: T201
        f"{crowd} versions after {took_s:.0f} s; {len(named)} flaps in {flaps_s:.0f} s moved the arm {flaps} times; "
        f"{len(took_ms)} requests, p50 {np.quantile(took_ms, 0.5):.1f} ms, p99 {np.quantile(took_ms, 0.99):.1f} ms, "
        f"most {max(took_ms):.0f} ms; memory before: {before_mb}, after: {memory_mb(served)}"
    )


def are_bad_named(served: Followed, route: str, arms: Mapping[str, str]) -> bool:
    """Return True if `status` says of each bad version why it is not followed."""
    said = served.warnings(route)
    bad = [number for number in (int(arm[1:]) for arm in arms) if number % 2]
    return all(f"crowd@c{number} names version {number} now. It is not followed yet: " in said for number in bad) and (
        said.count(REASONS["corrupt"]) + said.count("Golden request 0: output y is") >= len(bad)
    )
