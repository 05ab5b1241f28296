"""A gateway that starts while Redis is away serves bandits with the weights that they have learned."""

import json
import random
import signal
import time
from collections import Counter

import httpx
import pytest

from tests.support import linear
from tests.support.gateway_process import GatewayProcess
from tests.support.polling import wait_until

PLAIN = {
    "route": "plain",
    "arms": {"a": "linear:1", "b": "linear:2"},
    "metrics": {"click": {"window": "1s"}},
    "bandit": {"policy": "thompson", "reward": "click", "floor": "2%", "burn_in": 20},
}
ASKS = {
    "route": "asks",
    "arms": {"a": "linear:1", "b": "linear:2"},
    "metrics": {"click": {"window": "1s"}},
    "bandit": {
        "policy": {"linear-thompson": {"v": 0.3}}, "reward": "click", "floor": "2%", "burn_in": 20,
        "context": {"headers.x-device": ["phone", "desktop"]},
    },
}  # fmt: skip
X = {"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
WITHIN_S = 240.0
BEST = {"plain": {"phone": "b", "desktop": "b"}, "asks": {"phone": "b", "desktop": "a"}}


class Site:
    """A gateway of one replica with Redis, and its users. Of each device one arm is the better one."""

    def __init__(self, folder, redis) -> None:
        registry = str(linear.fill(folder / "models"))
        self.redis = redis
        self.gateway = GatewayProcess(
            folder / "var", "serve", POINTSMAN_REGISTRY=registry, POINTSMAN_ENGINE="uvicorn", POINTSMAN_STORE=redis.url
        )
        self._dice = random.Random(7)  # noqa: S311  # a simulation

    def decide(self, count: int, *, reports: bool = True) -> None:
        rewards = []
        with httpx.Client(base_url=self.gateway.url, timeout=60, trust_env=False) as client:
            for route, best in BEST.items():
                for _ in range(count):
                    device = self._dice.choice(["phone", "desktop"])
                    url, headers = f"/v2/models/{route}/infer", {"x-device": device}
                    answered = client.post(url, json=X, headers=headers).raise_for_status()
                    click = int(self._dice.random() < (0.9 if answered.headers["x-arm"] == best[device] else 0.1))
                    token = answered.headers["x-decision-token"]
                    rewards.append({"decision": token, "metric": "click", "value": click})
            if reports:
                client.post("/v2/rewards", json={"rewards": rewards}).raise_for_status()

    def numbers(self) -> dict[str, int]:
        """Return the number of the newest policy, by route."""
        return {each["route"]: each["bandit"]["number"] for each in self.gateway.client.status()["routes"]}

    def logged(self, since_us: int) -> list[dict]:
        return self.gateway.query(
            "SELECT route, policy_number, arm, propensity, weights, context FROM inferences "
            f"WHERE role = 'primary' AND event_ts_us >= {since_us}"
        )


@pytest.fixture
def site(tmp_path, servers):
    redis = servers("--appendonly", "yes", "--appendfsync", "always")
    redis.start()
    made = Site(tmp_path, redis)
    made.gateway.start()
    yield made
    made.gateway.end()


@pytest.mark.timeout(600)
def test_a_gateway_that_starts_without_redis_serves_what_was_learned_and_goes_on(site):
    gateway, file = site.gateway, site.gateway.home / "learned.jsonl"
    gateway.declare(PLAIN)
    gateway.declare(ASKS)
    until_s = time.monotonic() + WITHIN_S
    has_weights = (
        "SELECT count(*) AS n FROM policies WHERE number = {number} AND route = '{route}' AND weights['b'] <> 0.5"
    )
    while not all(
        gateway.query(has_weights.format(number=number, route=route))[0]["n"] for route, number in kept(file).items()
    ) or len(kept(file)) < len(BEST):
        assert time.monotonic() < until_s, gateway.output.read_text()
        site.decide(20)
    site.redis.kill()
    assert gateway.end(signal.SIGTERM) == 0

    numbers, began_us = kept(file), time.time_ns() // 1000
    gateway.start()
    site.decide(100, reports=False)
    rows = site.logged(began_us)
    assert Counter((row["route"], row["policy_number"]) for row in rows) == dict.fromkeys(numbers.items(), 100)
    learned = {
        (row["route"], row["number"]): dict(row["weights"])
        for row in gateway.query("SELECT route, number, weights FROM policies")
    }
    for row in rows:
        assert row["propensity"] == dict(row["weights"])[row["arm"]]
        if row["route"] == "plain":
            assert dict(row["weights"]) == learned["plain", row["policy_number"]] != {"a": 0.5, "b": 0.5}
    of_device = {tuple(row["context"]): dict(row["weights"]) for row in rows if row["route"] == "asks"}
    assert of_device[1.0, 0.0, 0.0, 0.0]["b"] > 0.5 > of_device[0.0, 1.0, 0.0, 0.0]["b"]
    replayed = gateway.cli("replay", "--json")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr

    site.redis.start()
    wait_until(
        lambda: gateway.client.status()["store"]["state"] == "REACHABLE", within_s=60, shows=gateway.client.status
    )
    while any(site.numbers()[route] <= number for route, number in numbers.items()):
        assert time.monotonic() < until_s + WITHIN_S, gateway.output.read_text()
        site.decide(20)


def kept(file) -> dict[str, int]:
    """Return the numbers of the policies in the file, by route."""
    if not file.exists():
        return {}
    lines = file.read_text().split("\n")[1:]
    read = [json.loads(line.partition(" ")[2]) for line in lines]
    return {each["route"]: each["number"] for each in read}
