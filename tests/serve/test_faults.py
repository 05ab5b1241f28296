"""Replicas that are killed, hang, or are replaced, under load."""

import os
import signal
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from tests.serve.load import Load
from tests.serve.publish import declare, publish

KILLS = 5


def _client_ports(pid: int, server_port: int) -> set[int]:
    """The clients' ports of the connections that a process holds."""
    return {
        connection.raddr.port
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.raddr and connection.laddr.port == server_port
    }


def _require_each_in_log_once(gateway, load: Load) -> None:
    rows = gateway.query("SELECT decision_id, count(*) AS n FROM inferences WHERE outcome = 'ok' GROUP BY ALL")
    times = {row["decision_id"]: row["n"] for row in rows}
    answered = [each.decision_id for each in load.answered]
    assert len(set(answered)) == len(answered)
    assert {times.get(each, 0) for each in answered} == {1}


def test_a_killed_replica_fails_only_its_own_connections_and_loses_no_row(gateway, body):
    doomed: set[int] = set()
    killed_s: list[float] = []
    with Load(gateway.port, body) as load:
        for _ in range(KILLS):
            pids = gateway.wait_for_replicas(2)
            load.wait_for(500)
            victim = pids.pop()
            os.kill(victim, signal.SIGSTOP)  # so that its connections can be listed while nothing changes
            doomed |= _client_ports(victim, gateway.port)
            killed_s.append(time.monotonic())
            os.kill(victim, signal.SIGKILL)
            gateway.wait_for_replicas(2, without=frozenset({victim}))
        load.wait_for(500)
    # A connection that was still waiting to be accepted belongs to the killed process too, and can be listed nowhere.
    strangers = [each for each in load.failed if each.port not in doomed]
    assert [each for each in strangers if min(abs(each.at_s - at_s) for at_s in killed_s) > 1.0] == []
    assert len(strangers) <= KILLS
    assert len(load.failed) <= KILLS * load.clients
    _require_each_in_log_once(gateway, load)


class Sleeper:
    """A classifier that hangs when the first feature is 666."""

    n_features_in_ = 30

    def predict_proba(self, features):
        import time

        import numpy

        if features[0, 0] == 666:
            time.sleep(3600)
        if features[0, 0] == 667:
            raise ArithmeticError("on purpose")
        probabilities = numpy.zeros((len(features), 2), numpy.float32)
        probabilities[:, 1] = 1
        return probabilities

    @property
    def classes_(self):
        import numpy

        return numpy.array([0, 1])


@pytest.fixture(scope="module")
def sleeper(gateway):
    """Route `sleeper`: an arm that can be made to hang or fail, with cancer:2 as fallback."""
    publish(gateway, "sleeper", "1", Sleeper())
    spec = {
        "route": "sleeper",
        "arms": {"odd": "sleeper:1", "stable": "cancer:2"},
        "split": {"odd": "100%"},
        "fallback": "stable",
    }
    declare(gateway, spec)


def _body(first: int) -> dict[str, object]:
    return {"inputs": [{"name": "X", "shape": [1, 30], "datatype": "FP32", "data": [first] + [0] * 29}]}


@pytest.mark.usefixtures("sleeper")
def test_an_arm_that_raises_is_answered_by_the_fallback_and_both_attempts_are_rows(gateway):
    answer = httpx.post(f"{gateway.url}/v2/models/sleeper/infer", json=_body(667), trust_env=False)
    assert answer.status_code == 200
    assert (answer.headers["x-arm"], answer.headers["x-reason"]) == ("stable", "FALLBACK")
    assert "x-propensity" not in answer.headers
    rows = gateway.query(
        "SELECT arm, role, outcome, status, propensity FROM inferences "
        f"WHERE decision_id = '{answer.headers['x-decision-id']}' ORDER BY role DESC"
    )
    assert rows == [
        {"arm": "odd", "role": "primary", "outcome": "error", "status": 422, "propensity": 1.0},
        {"arm": "stable", "role": "fallback", "outcome": "ok", "status": 200, "propensity": None},
    ]


@pytest.mark.usefixtures("sleeper")
def test_a_replica_whose_loop_hangs_is_replaced(gateway):
    before = gateway.wait_for_replicas(2)
    with pytest.raises(httpx.HTTPError):
        httpx.post(f"{gateway.url}/v2/models/sleeper/infer", json=_body(666), timeout=30, trust_env=False)
    until_s = time.monotonic() + 60
    while (after := gateway.wait_for_replicas(2)) == before:
        assert time.monotonic() < until_s
        time.sleep(0.2)
    assert len(after & before) == 1


def test_a_stopped_replica_is_replaced(gateway):
    before = gateway.wait_for_replicas(2)
    victim = min(before)
    os.kill(victim, signal.SIGSTOP)
    stopped = psutil.Process(victim)
    assert stopped.wait(30) is None  # not a child of ours, so there is no exit code; a timeout would raise
    gateway.wait_for_replicas(2, without=frozenset({victim}))


def _redeploy(gateway, replicas: int, generation: int) -> None:
    subprocess.run(
        [sys.executable, "-m", "tests.serve.redeploy", str(replicas), str(generation)],
        env=gateway.environment,
        check=True,
        timeout=180,
    )


def test_rolling_upgrade_and_scale_down_fail_no_request(gateway, body):
    before = gateway.wait_for_replicas(2)
    with Load(gateway.port, body) as load:
        load.wait_for(200)
        _redeploy(gateway, replicas=2, generation=2)
        upgraded = gateway.wait_for_replicas(2, without=frozenset(before))
        load.wait_for(200)
        _redeploy(gateway, replicas=1, generation=2)
        gateway.wait_for_replicas(1)
        load.wait_for(200)
        _redeploy(gateway, replicas=2, generation=2)
        gateway.wait_for_replicas(2)
    assert not upgraded & before
    assert load.failed == []
    _require_each_in_log_once(gateway, load)
