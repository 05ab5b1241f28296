"""Redis killed, frozen and restarted under load, and concurrent operators. Two replicas share it."""

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.components import ALL_CASES
from tests.support.load import PacedLoad
from tests.support.polling import wait_until

PER_SECOND = 200
COMMANDS = 1000 if ALL_CASES in os.environ else 200
TIMEOUT_S = 120


@pytest.fixture
def route(shared, request):
    """Declare a split for this test alone."""
    name = f"redis-{abs(hash(request.node.name)) % 10_000}"
    shared.declare(
        {
            "route": name,
            "arms": {"stable": "cancer:2", "canary": "cancer:3"},
            "split": {"stable": "90%", "canary": "10%"},
        }
    )
    return name


def shift(shared, route, percent, **headers):
    """Send a shift over HTTP. Return the status and the version that it made."""
    response = httpx.post(
        f"{shared.url}/api/routes/{route}/shift",
        json={"weights": {"canary": f"{percent}%"}, "why": f"to {percent}"},
        headers=headers,
        timeout=TIMEOUT_S,
        trust_env=False,
    )
    return response.status_code, response.json().get("version")


def history(shared, route, limit=1000):
    response = httpx.get(f"{shared.url}/api/routes/{route}/history?limit={limit}", timeout=TIMEOUT_S, trust_env=False)
    return list(reversed(response.json()))


def wait_for_store(shared, route):
    url = f"{shared.url}/api/routes/{route}"
    wait_until(
        lambda: httpx.get(url, timeout=TIMEOUT_S, trust_env=False).status_code == 200, shows=shared.output.read_text
    )


def wait_for_store_state(shared, state):
    def store():
        return httpx.get(f"{shared.url}/api/status", timeout=TIMEOUT_S, trust_env=False).json()["store"]

    # Each request is a connection of its own, and the kernel spreads them over both replicas.
    wait_until(lambda: {store()["state"] for _ in range(10)} == {state}, within_s=180, shows=store)


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_predictions_go_on_without_redis_and_no_change_is_lost_or_made_twice(shared, redis, body, route, how):
    replies: list[tuple[int, int]] = []
    stop = threading.Event()

    def operate():
        percent = 0
        while not stop.wait(0.05):
            percent = percent % 90 + 1
            replies.append((shift(shared, route, percent)[0], percent))

    operator = threading.Thread(target=operate)
    with PacedLoad(shared.port, body, f"/v2/models/{route}/infer", PER_SECOND) as load:
        operator.start()
        for _ in range(2):
            time.sleep(2)
            if how == "killed":
                redis.kill()
                time.sleep(3)
                redis.start()
            else:
                redis.stop()
                time.sleep(5)
                wait_for_store_state(shared, "UNREACHABLE")
                redis.go_on()
            wait_for_store(shared, route)
        time.sleep(2)
        stop.set()
        operator.join()
    assert load.failures() == []
    assert {status for status, _ in replies} == {200, 503}
    made = [int(entry["why"].removeprefix("to ")) for entry in history(shared, route)[1:]]
    assert made == [percent for status, percent in replies if status == 200]
    shared.client.status()
    assert shared.cli("shift", route, "canary=50").returncode == 0  # every replica follows again


def test_of_two_operators_at_once_one_gets_a_conflict(shared, route):
    version = str(history(shared, route)[-1]["version"])
    barrier = threading.Barrier(2)

    def shift_to(percent):
        barrier.wait()
        return shift(shared, route, percent, **{"if-match": f'"{version}"'})

    with ThreadPoolExecutor(2) as operators:
        responses = list(operators.map(shift_to, (20, 30)))
    assert sorted(status for status, _ in responses) == [200, 409]
    winner = (20, 30)[[status for status, _ in responses].index(200)]
    newest = history(shared, route)[-1]
    assert newest["why"] == f"to {winner}"
    assert newest["weights"]["canary"] == f"{winner}%"


def test_many_commands_at_once_are_all_made_one_after_the_other(shared, route):
    def shift_to(percent):
        while (response := shift(shared, route, percent))[0] == 409:
            pass  # on a busy machine a command may lose to others for 5 s; it says so, and is made again
        return response

    with ThreadPoolExecutor(32) as operators:
        responses = list(operators.map(lambda number: shift_to(number % 100), range(COMMANDS)))
    assert {status for status, _ in responses} == {200}
    first = history(shared, route, 1000)[0]["version"]
    versions = sorted(version for _, version in responses)
    assert versions == list(range(versions[0], versions[0] + COMMANDS))
    entries = history(shared, route, 1000)
    assert [entry["version"] for entry in entries] == list(range(first, first + len(entries)))


def test_a_redis_that_lost_everything_gets_it_back(shared, redis, body, route):
    before = json.loads(shared.cli("get", route, "--json").stdout)
    redis.kill()
    for path in redis.folder.rglob("*"):
        if path.is_file():
            path.unlink()
    with PacedLoad(shared.port, body, f"/v2/models/{route}/infer", PER_SECOND) as load:
        redis.start()
        wait_for_store_state(shared, "LOST")
        assert shift(shared, route, 50)[0] == 503
        done = shared.cli("restore")
        assert done.returncode == 0, done.stderr
        time.sleep(1)
    assert load.failures() == []
    after = json.loads(shared.cli("get", route, "--json").stdout)
    assert (after["version"], after["spec"]) == (before["version"], before["spec"])
    assert shared.cli("shift", route, "canary=50").returncode == 0
