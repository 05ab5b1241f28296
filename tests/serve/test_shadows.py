"""Shadows that misbehave, on a real cluster: callers see nothing of it, and what was dropped is counted."""

import httpx
import pytest

from tests.serve.support import publish
from tests.support.components import in_soak
from tests.support.estimators import Canary, Crasher
from tests.support.load import PacedLoad
from tests.support.polling import wait_until

PER_SECOND = 200


def metric(gateway, name, **labels):
    """Return the sum of a metric's samples that have these labels."""
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
        pytest.param("shadow-slow", Canary(takes_s=0.9), marks=in_soak),
        pytest.param("shadow-hangs", Crasher(20, "hang"), marks=in_soak),
        ("shadow-crashes", Crasher(20, "crash")),
    ],
)
def test_a_shadow_that_misbehaves_costs_no_caller_anything(shared, body, route, shadow):
    publish(shared, route, "1", shadow)
    shared.declare(
        {
            "route": route,
            "arms": {"stable": "cancer:2"},
            "split": {"stable": "100%"},
            "shadow": [{"arm": f"{route}:1"}],
        }
    )
    with PacedLoad(shared.port, body, f"/v2/models/{route}/infer", PER_SECOND) as load:
        wait_until(lambda: metric(shared, "pointsman_shadow_dropped_total", route=route), within_s=180)
    assert load.failures() == []
    asked = metric(shared, "pointsman_shadow_requests_total", route=route)
    dropped = metric(shared, "pointsman_shadow_dropped_total", route=route)
    assert asked + dropped <= len(load.seen)


def test_a_shadow_is_compared_row_by_row_and_in_status(shared, body):
    shared.declare(
        {
            "route": "shadowed",
            "arms": {"stable": "cancer:2"},
            "split": {"stable": "100%"},
            "shadow": [{"arm": "cancer:1"}],
        }
    )

    def shadows():
        return next(each["shadows"] for each in shared.client.status()["routes"] if each["route"] == "shadowed")

    with PacedLoad(shared.port, body, "/v2/models/shadowed/infer", 100):
        wait_until(lambda: any(each["pairs"] >= 100 for each in shadows()), within_s=180, shows=shadows)
    assert shadows()[0]["flips"] == 0
    pairs = shared.query(
        "SELECT count(*) AS n FROM inferences AS shadow JOIN inferences AS stable USING (decision_id) "
        "WHERE shadow.role = 'shadow' AND shadow.arm = 'cancer:1' AND shadow.route = 'shadowed' "
        "AND stable.role = 'primary' AND stable.arm = 'stable'"
    )
    assert pairs[0]["n"] >= 100
