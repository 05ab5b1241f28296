"""Versions in applications of their own: moved there and back under load, and misbehaving there."""

import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.serve.load import Load
from tests.serve.publish import declare, publish

DEADLINE_S = 0.4


class Mischief:
    """A classifier that does what the first feature says."""

    n_features_in_ = 30

    def predict_proba(self, features):
        import os
        import signal
        import time

        import numpy

        probabilities = numpy.zeros((len(features), 2), numpy.float32)
        probabilities[:, 1] = 1
        for order in features[:, 0]:
            if order == 1:
                raise ArithmeticError("on purpose")
            if order == 2:
                return probabilities[:0]
            if order == 3:
                time.sleep(3)
            if order == 4:
                hoard = [bytearray(1 << 20) for _ in range(200)]  # as the kernel ends who takes too much
                os.kill(os.getpid(), signal.SIGKILL)
                del hoard
        return probabilities

    @property
    def classes_(self):
        import numpy

        return numpy.array([0, 1])


@pytest.fixture(scope="module")
def mischief(gateway):
    """Route `mischief`: a dedicated arm that does as it is told, with cancer:2 in the replica as fallback."""
    publish(gateway, "mischief", "1", Mischief(), placement="dedicated")
    spec = {
        "route": "mischief",
        "arms": {"odd": "mischief:1", "stable": "cancer:2"},
        "split": {"odd": "100%"},
        "fallback": "stable",
        "deadline": f"{int(DEADLINE_S * 1000)}ms",
    }
    declare(gateway, spec)
    yield
    declare(gateway, spec | {"arms": {"stable": "cancer:2"}, "split": {"stable": "100%"}})


def ask(gateway, order, limit_s=10.0):
    tensor = {"name": "X", "shape": [1, 30], "datatype": "FP32", "data": [order] + [0] * 29}
    began_s = time.monotonic()
    url = f"{gateway.url}/v2/models/mischief/infer"
    answer = httpx.post(url, json={"inputs": [tensor]}, timeout=limit_s, trust_env=False)
    return answer, time.monotonic() - began_s


def model_pids(name):
    """The processes that run dedicated versions, as the kernel lists them."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            title = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if f"pointsman-model-{name}" in title:
            found.add(int(path.parent.name))
    return found


def wait_for_arm(gateway, arm, limit_s=60.0):
    until_s = time.monotonic() + limit_s
    while True:
        answer, _ = ask(gateway, 0)
        assert answer.status_code == 200
        if answer.headers["x-arm"] == arm:
            return
        assert time.monotonic() < until_s, answer.headers
        time.sleep(0.2)


@pytest.mark.usefixtures("mischief")
@pytest.mark.parametrize(("order", "code"), [(1, "InputRefused"), (2, "InputRefused"), (3, "TooLate")])
def test_a_dedicated_model_that_misbehaves_is_answered_by_the_fallback_in_time(gateway, order, code):
    wait_for_arm(gateway, "odd")
    answer, took_s = ask(gateway, order)
    assert answer.status_code == 200, answer.text
    assert (answer.headers["x-arm"], answer.headers["x-reason"]) == ("stable", "FALLBACK")
    assert took_s < DEADLINE_S + 0.1  # beside the deadline: a connection, and a busy machine
    of_this = f"decision_id = '{answer.headers['x-decision-id']}'"
    rows = gateway.query(f"SELECT arm, error_code FROM inferences WHERE role = 'primary' AND {of_this}")
    assert rows == [{"arm": "odd", "error_code": code}]


@pytest.mark.usefixtures("mischief")
def test_a_dedicated_model_that_is_killed_is_answered_by_the_fallback_and_comes_back(gateway):
    wait_for_arm(gateway, "odd")
    answer, took_s = ask(gateway, 4)
    assert answer.status_code == 200, answer.text
    assert (answer.headers["x-arm"], answer.headers["x-reason"]) == ("stable", "FALLBACK")
    assert took_s < DEADLINE_S + 0.1
    wait_for_arm(gateway, "odd")


def test_moving_a_version_between_placements_under_load_fails_nothing(gateway, body):
    spec = {"route": "moving", "arms": {"only": "cancer:2"}, "split": {"only": "100%"}}
    declare(gateway, spec)
    with Load(gateway.port, body, path="/v2/models/moving/infer", clients=4) as load:
        for placement in ("dedicated", "replica", "dedicated"):
            load.wait_for(100)
            declare(gateway, spec | {"placement": placement})
        load.wait_for(100)
        assert load.failed == []
        (pid,) = model_pids("cancer-2")
        os.kill(pid, signal.SIGKILL)
        declare(gateway, spec | {"placement": "replica"})
        load.wait_for(100)
    # Without a fallback, what the killed process had in hand is lost, and answered as such; nothing else is.
    assert all("500" in each.what or "503" in each.what for each in load.failed), load.failed[:3]
