"""Rewards of a real gateway: the sums are those that a hand would compute, whatever is repeated, shuffled or killed."""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from gateway.access.api_keys import make_key
from gateway.grpc.rewards import SERVICE
from gateway.inference.decision_token import Decision, seal
from gateway.inference.token_key_file import TokenKeyFile
from gateway.protocols import rewards_pb2 as pb
from inference_log.process_lock import holder
from router.rewards.sums import RewardSum, combine
from store.interface import Store
from store.open import open_store
from tests.support import linear
from tests.support.gateway_process import GatewayProcess, running
from tests.support.polling import wait_until
from tests.support.redis_server import RedisServer

ROUTE = {
    "route": "learns",
    "arms": {"a": "linear:1", "b": "linear:2"},
    "split": {"a": "50%", "b": "50%"},
    "metrics": {"click": {"window": "1h"}, "revenue": {"window": "1h", "range": [0, 500], "aggregate": "sum"}},
}
X = {"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
PREDICTIONS = 50
KILLS = int(os.environ.get("POINTSMAN_REWARD_KILLS", "6"))

BATCH = 250

Batch = list[dict[str, Any]]


def send(url: str, rewards: Batch, headers: dict[str, str] | None = None) -> list[dict[str, str]] | None:
    """Return the results, or None if the rewards may be sent again."""
    try:
        answered = httpx.post(
            f"{url}/v2/rewards", json={"rewards": rewards}, headers=headers, timeout=60, trust_env=False
        )
    except httpx.TransportError:
        return None
    if answered.status_code == 503:
        assert answered.headers["retry-after"] == "1"
        return None
    assert answered.status_code == 202, answered.text
    results: list[dict[str, str]] = answered.json()["results"]
    return results


def send_until_answered(url: str, rewards: Batch) -> list[dict[str, str]]:
    return wait_until(lambda: send(url, rewards), within_s=240.0)


def words(results: list[dict[str, str]]) -> set[str]:
    return {each["result"] for each in results}


def sums(store: Store) -> dict[tuple[str, str], RewardSum]:
    """Return the sums over all time, by arm and metric."""
    found: dict[tuple[str, str], RewardSum] = {}
    for key, one in store.reward_sums("learns", 0, 1).totals.items():
        before = found.get((key.arm, key.metric))
        found[key.arm, key.metric] = one if before is None else combine(before, one)
    return found


class Site:
    """Two gateways that serve one route, and their store."""

    def __init__(self, gateways: tuple[GatewayProcess, GatewayProcess], store_url: str) -> None:
        self.gateways = gateways
        self.store = open_store(store_url)

    def decide(self, number: int) -> tuple[str, str]:
        """Return the token and the arm of a prediction."""
        url = self.gateways[number % 2].url
        answered = httpx.post(f"{url}/v2/models/learns/infer", json=X, timeout=60, trust_env=False)
        assert answered.status_code == 200, answered.text
        return answered.headers["x-decision-token"], answered.headers["x-arm"]

    def decisions(self) -> int:
        return sum(one.decisions for (_, metric), one in sums(self.store).items() if metric == "click")


@pytest.fixture
def registry(tmp_path: Path) -> str:
    return str(linear.fill(tmp_path / "models"))


@pytest.fixture(params=["two replicas, SQLite", "two machines, Redis"])
def site(request, tmp_path, registry, servers) -> Iterator[Site]:
    """Serve with two replicas of one machine on SQLite, or with two machines on Redis, which share the token keys."""
    one, other = tmp_path / "one", tmp_path / "one"
    settings = {"POINTSMAN_REGISTRY": registry, "POINTSMAN_ENGINE": "uvicorn"}
    store_url = f"sqlite:///{one / 'pointsman.db'}"
    if "Redis" in request.param:
        other = tmp_path / "other"
        server = servers()
        server.start()
        store_url = server.url
        settings["POINTSMAN_STORE"] = store_url
    first = GatewayProcess(one, "serve", **settings)
    settings["POINTSMAN_TOKEN_KEYS_FILE"] = str(one / "token-keys")
    second = GatewayProcess(other, "serve", **settings)
    second.output = tmp_path / "second.txt"
    with ExitStack() as stack:
        stack.enter_context(running(first))
        first.declare(ROUTE)
        stack.enter_context(running(second))
        made = Site((first, second), store_url)
        stack.callback(made.store.close)
        wait_until(lambda: all(_serves(each) for each in made.gateways), within_s=120.0)
        yield made


def _serves(gateway: GatewayProcess) -> bool:
    url = f"{gateway.url}/v2/models/learns/ready"
    return httpx.get(url, trust_env=False, timeout=30).status_code == 200


@pytest.mark.timeout(900)
def test_rewards_shuffled_repeated_and_retracted_at_two_replicas_are_the_sums_of_a_hand(site):
    dice = random.Random(7)  # noqa: S311  # a test that can be repeated
    reports: Batch = []
    values: list[tuple[str, str, int]] = []
    rewarded: dict[tuple[str, str], int] = {}
    decided = [site.decide(number) for number in range(PREDICTIONS)]
    for token, arm in decided:
        click, orders = dice.choice([0, 1, None]), [dice.randrange(1, 200) for _ in range(dice.randrange(3))]
        retracted = bool(orders) and dice.random() < 0.4
        if click is not None:
            reports.append({"decision": token, "metric": "click", "value": click})
        for place, order in enumerate(orders):
            event = {"decision": token, "metric": "revenue", "event": f"order-{place}"}
            reports.append(event | {"value": order})
            if retracted and place == 0:
                reports.append(event | {"op": "retract"})
        kept = orders[1:] if retracted else orders
        values += [(arm, "click", 1_000_000 * (click or 0)), (arm, "revenue", 2000 * sum(kept))]
        for metric, is_rewarded in (("click", click is not None), ("revenue", bool(kept))):
            rewarded[arm, metric] = rewarded.get((arm, metric), 0) + is_rewarded
    sent = reports * 3
    dice.shuffle(sent)
    for start in range(0, len(sent), 20):
        url = dice.choice(site.gateways).url
        assert words(send_until_answered(url, sent[start : start + 20])) <= {"counted", "duplicate"}
    wait_until(lambda: site.decisions() == PREDICTIONS, within_s=120.0, shows=lambda: sums(site.store))
    expected = {
        key: RewardSum(
            sum((arm, metric) == key for arm, metric, _ in values),
            rewarded[key],
            sum(value for arm, metric, value in values if (arm, metric) == key),
            sum(value * value // 1_000_000 for arm, metric, value in values if (arm, metric) == key),
        )
        for key in rewarded
    }
    assert sums(site.store) == expected


class Sealing:
    """Makes tokens of decisions that no replica has made, of a route of one gateway."""

    def __init__(self, gateway: GatewayProcess) -> None:
        url = gateway.environment.get("POINTSMAN_STORE", f"sqlite:///{gateway.home / 'pointsman.db'}")
        self.store = open_store(url)
        entry = self.store.read("learns")
        assert entry is not None
        self._document = entry.document
        self._keys = TokenKeyFile(gateway.home / "token-keys", time.time()).current
        self._lock, self._made = threading.Lock(), 0

    def token(self) -> str:
        with self._lock:
            self._made += 1
            number = self._made
        document, now_us = self._document, time.time_ns() // 1000
        made = Decision(f"{number:024x}", "learns", document.declared_us, document.version, "a", 0.5, now_us, 900, -1)
        return seal(made, self._keys)


def kill_companion(gateway: GatewayProcess, _: RedisServer, __: list[int]) -> None:
    lock = gateway.home / "spool" / "companion" / "lock"
    pid, _ = wait_until(lambda: holder(lock), within_s=120.0)
    os.kill(pid, signal.SIGKILL)


def kill_replica(gateway: GatewayProcess, _: RedisServer, __: list[int]) -> None:
    gateway.end(signal.SIGKILL)
    gateway.start()


def kill_redis(_: GatewayProcess, server: RedisServer, failures: list[int]) -> None:
    before = len(failures)
    server.kill()
    wait_until(lambda: len(failures) > before, within_s=240.0)
    server.start()


def freeze_redis(_: GatewayProcess, server: RedisServer, failures: list[int]) -> None:
    before = len(failures)
    server.stop()
    wait_until(lambda: len(failures) > before, within_s=240.0)
    server.go_on()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kill", [kill_companion, kill_replica, kill_redis, freeze_redis])
def test_whatever_is_killed_each_reward_that_was_answered_is_in_the_sums_once(
    tmp_path, registry, servers, kill, record_property
):
    server = servers("--appendonly", "yes", "--appendfsync", "always")
    server.start()
    settings = {"POINTSMAN_REGISTRY": registry, "POINTSMAN_ENGINE": "uvicorn", "POINTSMAN_STORE": server.url}
    alone = GatewayProcess(tmp_path / "var", "serve", **settings)
    dice, done = random.Random(1), threading.Event()  # noqa: S311  # the moments are not repeatable, the pauses are
    answered: list[str] = []
    failures: list[int] = []

    def report(sealing: Sealing) -> None:
        while not done.is_set():
            batch = [{"decision": sealing.token(), "metric": "click", "value": 1} for _ in range(BATCH)]
            while (results := send(alone.url, batch)) is None:
                failures.append(1)
                time.sleep(0.05)
            answered.extend(each["result"] for each in results)

    with running(alone):
        alone.declare(ROUTE)
        sealing = Sealing(alone)
        threads = [threading.Thread(target=report, args=(sealing,)) for _ in range(3)]
        for each in threads:
            each.start()
        try:
            for _ in range(KILLS):
                before = len(answered)
                wait_until(lambda before=before: len(answered) > before + 3 * BATCH, within_s=240.0)
                time.sleep(dice.random() * 0.2)
                kill(alone, server, failures)
            before = len(answered)
            wait_until(lambda: len(answered) > before + 3 * BATCH, within_s=240.0)
        finally:
            done.set()
            for each in threads:
                each.join()
        assert set(answered) <= {"counted", "duplicate"}
        assert failures
        one = sums(sealing.store)["a", "click"]
        assert (one.rewarded, one.total) == (len(answered), 1_000_000 * len(answered))
        logged = "SELECT count(*) AS n, count(DISTINCT decision_id) AS decisions FROM rewards WHERE route = 'learns'"
        (counted,) = json.loads(alone.cli("log", "query", "--json", logged).stdout)
        assert counted == {"n": len(answered), "decisions": len(answered)}
        verified = alone.cli("log", "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        record_property("rewards", len(answered))
        record_property("counted_before_they_were_sent_again", answered.count("duplicate"))
        sealing.store.close()


@pytest.mark.timeout(900)
def test_a_key_of_another_route_rewards_nothing_and_learns_nothing(tmp_path, registry):
    settings = {"POINTSMAN_REGISTRY": registry, "POINTSMAN_ENGINE": "uvicorn", "POINTSMAN_ACCESS": "required"}
    gateway = GatewayProcess(tmp_path / "var", "serve", **settings)
    gateway.home.mkdir()
    store = open_store(f"sqlite:///{gateway.home / 'pointsman.db'}")

    def key(*scopes: str) -> str:
        made, shown = make_key("ci", scopes, created_by="ada", now_s=time.time())
        store.add_key(made)
        return shown

    operator, own, foreign, none = key("operate", "read"), key("reward:learns"), key("reward:other"), key("predict")
    gateway.environment["POINTSMAN_KEY"] = operator
    with running(gateway):
        gateway.declare(ROUTE)
        gateway.declare({**ROUTE, "route": "other"})
        sealing = Sealing(gateway)
        token = sealing.token()
        click = {"decision": token, "metric": "click", "value": 1}
        unknown = {**click, "decision": token[:-1] + ("A" if token[-1] != "A" else "B")}

        def ask(shown: str, *rewards: dict[str, Any]) -> list[dict[str, str]]:
            return wait_until(lambda: send(gateway.url, list(rewards), {"x-api-key": shown}), within_s=120.0)

        wait_until(lambda: _status(gateway, none) == 403, within_s=60.0)
        (result,) = ask(foreign, click)
        assert result["result"] == "refused"
        assert "learns" not in result["error"]
        assert ask(foreign, unknown)[0]["result"] == "refused"
        assert sums(store) == {}
        assert _status(gateway, "") == 401
        assert ask(own, click, click)[0] == {"result": "counted"}
        gateway.environment["POINTSMAN_KEY"] = own
        assert gateway.cli("reward", token, "click", "1", "--json").stdout == '{\n  "result": "duplicate"\n}\n'
        refused = gateway.cli("reward", token, "clicks", "1")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "has no metric 'clicks'; it has click, revenue" in refused.stderr
        assert gateway.cli("reward", sealing.token(), "revenue", "20.5", "--event", "e-17").stdout == "Counted.\n"
        message = pb.RewardsRequest(rewards=[pb.Reward(decision=sealing.token(), metric="click", value=1)])
        with grpc.insecure_channel(gateway.grpc) as channel:
            call = channel.unary_unary(f"/{SERVICE}/Send")
            said = call(message.SerializeToString(), metadata=[("x-api-key", own)], timeout=60)
        assert pb.RewardsResponse.FromString(said).results[0].result == pb.RewardResult.COUNTED
        assert sums(store)["a", "click"].rewarded == 2
        gateway.environment["POINTSMAN_KEY"] = operator
        line = 'pointsman_rewards_total{metric="click",result="counted",route="learns"} 2.0'
        wait_until(lambda: line in _metrics(gateway, operator), shows=lambda: _metrics(gateway, operator)[-3000:])
        sealing.store.close()
    store.close()


def _status(gateway: GatewayProcess, shown: str) -> int:
    headers = {"x-api-key": shown} if shown else {}
    return httpx.post(f"{gateway.url}/v2/rewards", json={}, headers=headers, timeout=60, trust_env=False).status_code


def _metrics(gateway: GatewayProcess, shown: str) -> str:
    return httpx.get(f"{gateway.url}/metrics", headers={"x-api-key": shown}, timeout=60, trust_env=False).text
