"""The number of replicas follows from what they report, by whichever of the two measures asks for more."""

from types import SimpleNamespace

import pytest

from gateway.replica.autoscaling import ByUse, LoopUse

POLICY = ByUse(in_flight=10, loop_use=0.5)


@pytest.mark.parametrize(
    ("reported", "needed"),
    [
        ({"in_flight": {"a": 5.0}, "loop_use": {"a": 0.1}}, 0.5),
        ({"in_flight": {"a": 25.0}, "loop_use": {"a": 0.1}}, 2.5),  # many slow requests
        ({"in_flight": {"a": 1.0}, "loop_use": {"a": 0.9}}, 1.8),  # many fast ones
        ({"in_flight": {"a": 10.0, "b": 12.0, "c": 8.0}}, 3.0),
        ({"in_flight": {"a": 10.0}, "loop_use": {}}, 1.0),
        ({"other": {"a": 100.0}}, 4.0),
        ({}, 4.0),  # nothing is known: all stays as it is
    ],
)
def test_replicas_needed(reported, needed):
    assert POLICY.needed(reported, now=4) == pytest.approx(needed)


def test_serve_is_answered_by_what_it_has_aggregated():
    context = SimpleNamespace(aggregated_metrics={"loop_use": {"a": 0.5, "b": 0.75}}, target_num_replicas=2)
    assert POLICY(context) == (2.5, {})
    context.aggregated_metrics = None
    assert POLICY(context) == (2.0, {})


def test_the_use_of_the_loop_is_of_the_time_since_it_was_asked_last():
    now = SimpleNamespace(s=10.0, worked_s=1.0)
    use = LoopUse(lambda: now.s, lambda: now.worked_s)
    now.s, now.worked_s = 14.0, 2.0
    assert use.read() == 0.25
    assert use.read() == 0.0  # no time has passed
    now.s, now.worked_s = 15.0, 3.5
    assert use.read() == 1.0  # clocks are not exact
