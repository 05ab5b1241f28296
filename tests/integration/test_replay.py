"""The log of a real gateway, with a bandit that learns and with units, is computed again without a difference."""

import json
import random
import time

import httpx
import pytest
import yaml

from tests.support import linear
from tests.support.gateway_process import GatewayProcess, running
from tests.support.polling import wait_until

LEARNS = {
    "route": "learns",
    "arms": {"a": "linear:1", "b": "linear:2"},
    "metrics": {"click": {"window": "1s"}},
    "bandit": {
        "policy": "thompson", "reward": "click", "floor": "20%", "burn_in": 20, "evaluate": "10%", "max_change": "10%",
    },
}  # fmt: skip
ASKS = {
    "route": "asks",
    "arms": {"a": "linear:1", "b": "linear:2"},
    "metrics": {"click": {"window": "2s"}},
    "bandit": {
        "policy": {"linear-thompson": {"v": 0.3}}, "reward": "click", "burn_in": 20,
        "context": {"headers.x-device": ["phone", "desktop"], "parameters.age": {"from": 18, "to": 99}},
    },
}  # fmt: skip
STICKY = {
    "route": "sticky", "arms": {"a": "linear:1", "b": "linear:2"}, "split": {"a": "70%", "b": "30%"},
    "unit": "header:x-user",
}  # fmt: skip
X = {"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
RATES = {"a": 0.2, "b": 0.6}
POLICIES, WEIGHTS, WITHIN_S, EACH = 3, 20, 240.0, 20


@pytest.fixture
def gateway(tmp_path):
    registry = str(linear.fill(tmp_path / "models"))
    made = GatewayProcess(tmp_path / "var", "serve", POINTSMAN_REGISTRY=registry, POINTSMAN_ENGINE="uvicorn")
    with running(made):
        made.declare(LEARNS)
        made.declare(STICKY)
        made.declare(ASKS)
        yield made


def decide(client: httpx.Client, dice: random.Random) -> None:
    """Make some decisions on each route, and report what became of those that learn."""
    rewards = []
    for _ in range(EACH):
        answered = client.post("/v2/models/learns/infer", json=X).raise_for_status()
        click = int(dice.random() < RATES[answered.headers["x-arm"]])
        rewards.append({"decision": answered.headers["x-decision-token"], "metric": "click", "value": click})
        device = dice.choice(["phone", "desktop", "tv"])
        asked = X | {"parameters": {"age": dice.randrange(100)}}
        answered = client.post("/v2/models/asks/infer", json=asked, headers={"x-device": device}).raise_for_status()
        click = int(dice.random() < RATES["b" if (answered.headers["x-arm"] == "a") == (device == "phone") else "a"])
        rewards.append({"decision": answered.headers["x-decision-token"], "metric": "click", "value": click})
        user = {"x-user": f"user-{dice.randrange(30)}"}
        client.post("/v2/models/sticky/infer", json=X, headers=user).raise_for_status()
    client.post("/v2/rewards", json={"rewards": rewards}).raise_for_status()


def has_learned(gateway: GatewayProcess) -> bool:
    """Return True if both bandits have learned, and requests of the one with a context had weights of their own."""
    learned = gateway.query("SELECT route, count(*) AS n FROM policies GROUP BY route")
    weights = gateway.query("SELECT count(DISTINCT propensity) AS n FROM inferences WHERE route = 'asks'")
    return len([each for each in learned if each["n"] >= POLICIES]) == 2 and weights[0]["n"] > WEIGHTS


def command(gateway: GatewayProcess, *arguments: str) -> dict:
    done = gateway.cli(*arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(600)
def test_the_log_of_a_gateway_is_computed_again(gateway):
    dice, until_s, rounds = random.Random(7), time.monotonic() + WITHIN_S, 0  # noqa: S311  # a test
    with httpx.Client(base_url=gateway.url, timeout=60, trust_env=False) as client:
        while rounds % 10 or not has_learned(gateway):
            assert time.monotonic() < until_s, gateway.output.read_text()
            decide(client, dice)
            rounds += 1
        gateway.cli("shift", "sticky", "a=50")
        for _ in range(5):
            decide(client, dice)
        rounds += 5
    changes = "SELECT count(*) AS n FROM audit WHERE route = 'sticky'"
    wait_until(lambda: gateway.query(changes)[0]["n"] == 2, within_s=60.0)  # a change is in the log a moment later
    found = command(gateway, "replay")
    assert (found["differ"], found["gaps"]) == (0, {})
    assert (found["decisions"], found["by_propensity"]) == (2 * rounds * EACH, rounds * EACH)
    assert found["policies"] >= 2 * POLICIES
    assert 30 < found["units"] <= 60

    path = gateway.home / "trial.yaml"
    path.write_text(yaml.safe_dump(LEARNS | {"bandit": {"policy": "softmax", "reward": "click", "burn_in": 20}}))
    simulated = command(gateway, "simulate", "-f", str(path), "--since", "1h")
    assert RATES["a"] - 0.1 < simulated["low"] < simulated["predicted"] < simulated["high"] < RATES["b"] + 0.1
