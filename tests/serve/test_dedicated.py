"""Versions in applications of their own: moved there and back under load, and misbehaving there."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.serve.support import declare_mischief, order
from tests.support.estimators import DIE, LATE, RAISE, TOO_FEW
from tests.support.load import Load
from tests.support.polling import wait_until

DEADLINE_S = 0.4
IN_TIME_S = 5.0
"""Far above the deadline, for a busy machine, and well below the time that the model takes when it is late."""


@pytest.fixture(scope="module")
def mischief(gateway):
    """Declare route `mischief`: a dedicated arm that obeys orders, with cancer:2 in the replica as fallback."""
    deadline = f"{int(DEADLINE_S * 1000)}ms"
    spec = declare_mischief(gateway, "mischief", placement="dedicated", deadline=deadline)
    yield
    gateway.declare(spec | {"arms": {"stable": "cancer:2"}, "split": {"stable": "100%"}})


def timed_order(gateway, what):
    """Return the response to an order, and the seconds that it took."""
    began_s = time.monotonic()
    response = order(gateway, "mischief", what)
    return response, time.monotonic() - began_s


def model_pids(name):
    """Return the processes that run dedicated versions, as the kernel lists them."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            title = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if f"pointsman-model-{name}" in title:
            found.add(int(path.parent.name))
    return found


def assert_no_secrets(pid):
    """Fail if a setting of the gateway, such as a store's password, or a key of a cloud is among the environment."""
    content = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    variables = dict(each.partition("=")[::2] for each in content.split("\0") if each)
    assert variables["PATH"]
    assert set(variables.get("AWS_SECRET_ACCESS_KEY", "")) <= {"-"}  # with S3 it was there, and is overwritten
    assert [name for name, value in variables.items() if name.startswith("POINTSMAN_") and value] == []


def wait_for_arm(gateway, arm):
    def is_answered_by_it():
        response = order(gateway, "mischief", 0)
        assert response.status_code == 200, response.text
        return response.headers["x-arm"] == arm

    wait_until(is_answered_by_it, within_s=180, shows=lambda: gateway.client.status())


@pytest.mark.usefixtures("mischief")
@pytest.mark.parametrize(("what", "code"), [(RAISE, "InputRefused"), (TOO_FEW, "InputRefused"), (LATE, "TooLate")])
def test_a_dedicated_model_that_misbehaves_is_answered_by_the_fallback_in_time(gateway, what, code):
    wait_for_arm(gateway, "odd")
    response, took_s = timed_order(gateway, what)
    assert response.status_code == 200, response.text
    assert (response.headers["x-arm"], response.headers["x-reason"]) == ("stable", "FALLBACK")
    assert took_s < IN_TIME_S
    of_this = f"decision_id = '{response.headers['x-decision-id']}'"
    rows = gateway.query(f"SELECT arm, error_code FROM inferences WHERE role = 'primary' AND {of_this}")
    assert rows == [{"arm": "odd", "error_code": code}]


@pytest.mark.usefixtures("mischief")
def test_a_dedicated_model_that_is_killed_is_answered_by_the_fallback_and_comes_back(gateway):
    wait_for_arm(gateway, "odd")
    response, took_s = timed_order(gateway, DIE)
    assert response.status_code == 200, response.text
    assert (response.headers["x-arm"], response.headers["x-reason"]) == ("stable", "FALLBACK")
    assert took_s < IN_TIME_S
    wait_for_arm(gateway, "odd")


def test_moving_a_version_between_placements_under_load_fails_nothing(gateway, body):
    spec = {"route": "moving", "arms": {"only": "cancer:2"}, "split": {"only": "100%"}}
    gateway.declare(spec)
    with Load(gateway.port, body, path="/v2/models/moving/infer", clients=4) as load:
        for placement in ("dedicated", "replica", "dedicated"):
            load.wait_for(100)
            gateway.declare(spec | {"placement": placement})
        load.wait_for(100)
        assert load.failed == []
        (pid,) = model_pids("cancer-2")
        assert_no_secrets(pid)
        os.kill(pid, signal.SIGKILL)
        gateway.declare(spec | {"placement": "replica"})
        load.wait_for(100)
    # Without a fallback, the requests that the killed process had in hand fail with 500 or 503; no others do.
    assert all("500" in each.what or "503" in each.what for each in load.failed), load.failed[:3]
