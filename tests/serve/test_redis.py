"""Redis killed, stopped and restarted under load, and operators who meet. Two replicas share it."""

import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.serve.load import PacedLoad
from tests.serve.publish import declare

PER_SECOND = 200
COMMANDS = 1000


@pytest.fixture
def route(shared, request):
    """A split of its own for each test."""
    name = f"redis-{abs(hash(request.node.name)) % 10_000}"
    declare(
        shared,
        {
            "route": name,
            "arms": {"stable": "cancer:2", "canary": "cancer:3"},
            "split": {"stable": "90%", "canary": "10%"},
        },
    )
    return name


def shift(shared, route, percent, **headers):
    """A shift over HTTP: the status, and the version that it made."""
    answer = httpx.post(
        f"{shared.url}/api/routes/{route}/shift",
        json={"weights": {"canary": f"{percent}%"}, "why": f"to {percent}"},
        headers=headers,
        timeout=60,
        trust_env=False,
    )
    return answer.status_code, answer.json().get("version")


def history(shared, route, limit=1000):
    answer = httpx.get(f"{shared.url}/api/routes/{route}/history?limit={limit}", timeout=60, trust_env=False)
    return list(reversed(answer.json()))


def await_store(shared, route):
    until_s = time.monotonic() + 30
    while httpx.get(f"{shared.url}/api/routes/{route}", timeout=30, trust_env=False).status_code != 200:
        assert time.monotonic() < until_s
        time.sleep(0.1)


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_predictions_go_on_without_redis_and_no_change_is_lost_or_made_twice(shared, redis_process, body, route, how):
    said: list[tuple[int, int]] = []
    stop = threading.Event()

    def operate():
        percent = 0
        while not stop.wait(0.05):
            percent = percent % 90 + 1
            said.append((shift(shared, route, percent)[0], percent))

    operator = threading.Thread(target=operate)
    with PacedLoad(shared.port, body, f"/v2/models/{route}/infer", PER_SECOND) as load:
        operator.start()
        for _ in range(2):
            time.sleep(2)
            if how == "killed":
                redis_process.kill()
                time.sleep(3)
                redis_process.start()
            else:
                redis_process.signal(signal.SIGSTOP)
                time.sleep(5)
                status = httpx.get(f"{shared.url}/api/status", timeout=30, trust_env=False).json()
                assert status["store"]["state"] == "UNREACHABLE"
                redis_process.signal(signal.SIGCONT)
            await_store(shared, route)
        time.sleep(2)
        stop.set()
        operator.join(60)
    assert load.failures() == []
    assert {status for status, _ in said} == {200, 503}
    made = [int(entry["why"].removeprefix("to ")) for entry in history(shared, route)[1:]]
    assert made == [percent for status, percent in said if status == 200]
    shared.client.status()
    assert shared.cli("shift", route, "canary=50").returncode == 0  # every replica follows again


def test_of_two_operators_at_once_one_is_told_so(shared, route):
    version = str(history(shared, route)[-1]["version"])
    barrier = threading.Barrier(2)

    def ask(percent):
        barrier.wait()
        return shift(shared, route, percent, **{"if-match": f'"{version}"'})

    with ThreadPoolExecutor(2) as operators:
        answers = list(operators.map(ask, (20, 30)))
    assert sorted(status for status, _ in answers) == [200, 409]
    winner = (20, 30)[[status for status, _ in answers].index(200)]
    newest = history(shared, route)[-1]
    assert newest["why"] == f"to {winner}"
    assert newest["weights"]["canary"] == f"{winner}%"


def test_a_thousand_commands_at_once_are_all_made_one_after_the_other(shared, route):
    with ThreadPoolExecutor(32) as operators:
        answers = list(operators.map(lambda number: shift(shared, route, number % 100), range(COMMANDS)))
    assert {status for status, _ in answers} == {200}
    first = history(shared, route, 1000)[0]["version"]
    versions = sorted(version for _, version in answers)
    assert versions == list(range(versions[0], versions[0] + COMMANDS))
    entries = history(shared, route, 1000)
    assert [entry["version"] for entry in entries] == list(range(first, first + len(entries)))


def test_a_redis_that_lost_everything_gets_it_back(shared, redis_process, body, route):
    before = json.loads(shared.cli("get", route, "--json").stdout)
    redis_process.kill()
    for path in redis_process.folder.rglob("*"):
        if path.is_file():
            path.unlink()
    with PacedLoad(shared.port, body, f"/v2/models/{route}/infer", PER_SECOND) as load:
        redis_process.start()
        time.sleep(3)
        assert shift(shared, route, 50)[0] == 503
        assert shared.client.status()["store"]["state"] == "LOST"
        done = shared.cli("restore")
        assert done.returncode == 0, done.stderr
        time.sleep(1)
    assert load.failures() == []
    after = json.loads(shared.cli("get", route, "--json").stdout)
    assert (after["version"], after["spec"]) == (before["version"], before["spec"])
    assert shared.cli("shift", route, "canary=50").returncode == 0
