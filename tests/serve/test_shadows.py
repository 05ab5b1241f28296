"""Shadows that misbehave, on a real cluster: callers see nothing of it, and what was dropped is counted."""

import time

import httpx
import pytest

from tests.serve.load import PacedLoad
from tests.serve.models import Canary, Crasher
from tests.serve.publish import declare, publish

PER_SECOND = 200


def metric(gateway, name, **labels):
    """The sum of a metric's samples that have these labels."""
    text = httpx.get(f"{gateway.url}/metrics", trust_env=False).text
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith(name) and all(each in line for each in wanted)
    )


@pytest.mark.parametrize(
    ("route", "shadow"),
    [
        ("shadow-slow", Canary(takes_s=0.9)),
        ("shadow-hangs", Crasher(20, "hang")),
        ("shadow-crashes", Crasher(20, "crash")),
    ],
)
def test_a_shadow_that_misbehaves_costs_no_caller_anything(shared, body, route, shadow):
    publish(shared, route, "1", shadow)
    declare(
        shared,
        {
            "route": route,
            "arms": {"stable": "cancer:2"},
            "split": {"stable": "100%"},
            "shadow": [{"arm": f"{route}:1"}],
        },
    )
    with PacedLoad(shared.port, body, f"/v2/models/{route}/infer", PER_SECOND) as load:
        until_s = time.monotonic() + 60
        while not metric(shared, "pointsman_shadow_dropped_total", route=route):
            assert time.monotonic() < until_s, "nothing was dropped"
            time.sleep(0.2)
    assert load.failures() == []
    asked = metric(shared, "pointsman_shadow_requests_total", route=route)
    dropped = metric(shared, "pointsman_shadow_dropped_total", route=route)
    assert asked + dropped <= len(load.seen)


def test_a_shadow_is_compared_row_by_row_and_in_status(shared, body):
    declare(
        shared,
        {
            "route": "shadowed",
            "arms": {"stable": "cancer:2"},
            "split": {"stable": "100%"},
            "shadow": [{"arm": "cancer:1"}],
        },
    )
    with PacedLoad(shared.port, body, "/v2/models/shadowed/infer", 100):
        until_s = time.monotonic() + 60
        while True:
            route = next(each for each in shared.client.status()["routes"] if each["route"] == "shadowed")
            if route["shadows"] and route["shadows"][0]["pairs"] >= 100:
                break
            assert time.monotonic() < until_s, route
            time.sleep(0.2)
    assert route["shadows"][0]["flips"] == 0
    pairs = shared.query(
        "SELECT count(*) AS n FROM inferences AS shadow JOIN inferences AS stable USING (decision_id) "
        "WHERE shadow.role = 'shadow' AND shadow.arm = 'cancer:1' AND shadow.route = 'shadowed' "
        "AND stable.role = 'primary' AND stable.arm = 'stable'"
    )
    assert pairs[0]["n"] >= 100
