"""Callers with a valid key who send what they should not, to two running replicas, over HTTP and gRPC."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import httpx
import pytest

from gateway.access.api_keys import make_key
from gateway.grpc.rewards import SERVICE
from gateway.inference.decision_token import Decision, seal
from gateway.inference.token_key_file import TokenKeyFile
from gateway.inference.token_keys import TokenKey, TokenKeys
from gateway.protocols import rewards_pb2 as pb
from router.rewards.events import MAX_EVENTS
from router.rewards.sums import MILLION, RewardSum
from store.interface import Store
from store.open import open_store
from tests.support import linear
from tests.support.gateway_process import GatewayProcess, running
from tests.support.polling import wait_until

AGGREGATES = ("first", "last", "sum", "min", "max")
ROUTE = {
    "route": "learns",
    "arms": {"a": "linear:1"},
    "split": {"a": "100%"},
    "metrics": {each: {"window": "1h", "range": [-10, 90], "aggregate": each} for each in AGGREGATES},
}
DAY_US = 86_400_000_000
REPEATS = 1000

Rewards = list[dict[str, Any]]
Send = Callable[[Rewards], list[tuple[str, str]]]


class Site(NamedTuple):
    """Two replicas of one machine, and how requests with rewards are sent to either of them."""

    gateways: tuple[GatewayProcess, GatewayProcess]
    store: Store
    decision: Decision
    keys: TokenKeys
    own: str
    foreign: str

    def token(self, **changes: Any) -> str:
        """Return the token of another decision."""
        made = self.decision._replace(decision_id=random.randbytes(12).hex(), **changes)  # noqa: S311  # no secret
        return seal(made, self.keys)

    def sums(self) -> dict[str, RewardSum]:
        """Return the sums over all time, by metric."""
        return {key.metric: value for key, value in self.store.reward_sums("learns", 0, 1).totals.items()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("attacked")
    settings = {
        "POINTSMAN_REGISTRY": str(linear.fill(folder / "models")),
        "POINTSMAN_ENGINE": "uvicorn",
        "POINTSMAN_ACCESS": "required",
    }
    one, other = (GatewayProcess(folder / "var", "serve", **settings) for _ in range(2))
    other.output = folder / "other.txt"
    one.home.mkdir()
    store = open_store(f"sqlite:///{one.home / 'pointsman.db'}")
    shown = {}
    for name, scopes in (("operator", ("operate", "read")), ("own", ("reward:learns",)), ("foreign", ("reward:x",))):
        key, shown[name] = make_key(name, scopes, created_by="ada", now_s=time.time())
        store.add_key(key)
    one.environment["POINTSMAN_KEY"] = shown["operator"]
    with running(one), running(other):
        one.declare(ROUTE)
        entry = store.read("learns")
        assert entry is not None
        keys = TokenKeyFile(one.home / "token-keys", time.time()).current
        made = Decision("0" * 24, "learns", entry.document.declared_us, 1, "a", 1.0, time.time_ns() // 1000, 900, -1)
        yield Site((one, other), store, made, keys, shown["own"], shown["foreign"])
    store.close()


def over_http(gateway: GatewayProcess, key: str, rewards: Rewards) -> list[tuple[str, str]]:
    def answered() -> httpx.Response | None:
        said = httpx.post(
            f"{gateway.url}/v2/rewards", json={"rewards": rewards}, headers={"x-api-key": key}, timeout=120,
            trust_env=False,
        )  # fmt: skip
        return None if said.status_code in (401, 503) else said  # the key is not known yet; sent again

    response = wait_until(answered, within_s=120.0)
    assert response.status_code == 202, response.text
    return [(each["result"], each.get("error", "")) for each in response.json()["results"]]


def over_grpc(gateway: GatewayProcess, key: str, rewards: Rewards) -> list[tuple[str, str]]:
    listed = [pb.Reward(**{**each, "op": pb.Reward.Operation.Value(each.get("op", "add").upper())}) for each in rewards]
    content = pb.RewardsRequest(rewards=listed).SerializeToString()

    def answered() -> bytes | None:
        try:
            with grpc.insecure_channel(gateway.grpc) as channel:
                call = channel.unary_unary(f"/{SERVICE}/Send")
                said: bytes = call(content, metadata=[("x-api-key", key)], timeout=120)
                return said
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE):
                return None
            raise

    results = pb.RewardsResponse.FromString(wait_until(answered, within_s=120.0)).results
    return [(pb.RewardResult.Result.Name(each.result).lower(), each.error) for each in results]


@pytest.fixture(params=[over_http, over_grpc])
def transport(request: pytest.FixtureRequest) -> Callable[[GatewayProcess, str, Rewards], list[tuple[str, str]]]:
    sender: Callable[[GatewayProcess, str, Rewards], list[tuple[str, str]]] = request.param
    return sender


@pytest.fixture
def send(site: Site, transport: Callable[..., list[tuple[str, str]]]) -> Send:
    return lambda rewards: transport(site.gateways[0], site.own, rewards)


def report(token: str, metric: str = "last", value: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"decision": token, "metric": metric, "value": value, **more}


@pytest.mark.timeout(900)
def test_a_key_of_other_routes_is_told_nothing_of_a_decision(site, transport):
    before = site.sums()
    none = site.token(route="no-such-route")
    of_foreign, of_none = transport(site.gateways[0], site.foreign, [report(site.token()), report(none)])
    assert of_foreign == of_none == ("refused", "The token is of a route that is not declared here.")
    assert site.sums() == before


@pytest.mark.timeout(900)
def test_tokens_that_were_cut_forged_sealed_elsewhere_or_are_of_another_time_are_refused(site, send):
    before, good = site.sums(), site.token()
    elsewhere = TokenKeys([TokenKey(b"\0\0\0\1", b"k" * 32)], b"\0\0\0\1")
    same_id = TokenKeys([TokenKey(site.keys.sealing, b"k" * 32)], site.keys.sealing)
    said = send([
        report(good[:60]),
        report(good[:-1]),
        report(good[:50] + ("A" if good[50] != "A" else "B") + good[51:]),
        report(good + "AAAA"),
        report(seal(site.decision, elsewhere)),
        report(seal(site.decision, same_id)),
        report(site.token(declared_us=site.decision.declared_us - 1)),
        report(site.token(decided_us=site.decision.decided_us - 92 * DAY_US)),
        report("x" * 100_000),
        report(""),
    ])  # fmt: skip
    for (result, sentence), part in zip(
        said,
        ["too short", "token", "does not open", "does not open", "No key here opens", "does not open",
         "earlier life", "more than 91d ago", "512 characters", "too short"],
        strict=True,
    ):  # fmt: skip
        assert result == "refused"
        assert part in sentence
    assert site.sums() == before


@pytest.mark.timeout(900)
def test_a_token_that_is_replayed_after_its_window_is_in_no_sum(site, send):
    before = site.sums()
    old = site.token(decided_us=site.decision.decided_us - 2 * 3_600_000_000)
    assert [word for word, _ in send([report(old), report(old, event="again"), report(old, op="set")])] == ["late"] * 3
    assert site.sums() == before


@pytest.mark.timeout(900)
def test_values_labels_and_events_that_are_none_are_refused_one_by_one(site, send):
    before, token = site.sums(), site.token()
    wrong = [report(token, value=each) for each in (float("nan"), float("inf"), 90.0001, -1e300)]
    wrong += [
        {"decision": token, "metric": "last", "label": "y" * 100_000},
        report(token, event="e" * 129),
        report(token, event="a\x1b[2J"),
        report(token, metric="m" * 10_000),
        report(token, time="2100-01-01T00:00:00Z"),
    ]
    said = send_with_nan(send, wrong)
    assert [word for word, _ in said] == ["refused"] * len(wrong)
    assert all(0 < len(sentence) < 400 and sentence.isprintable() for _, sentence in said)
    assert site.sums() == before


def send_with_nan(send: Send, rewards: Rewards) -> list[tuple[str, str]]:
    """Send rewards of which some cannot be written as JSON; those are sent over gRPC alone."""
    try:
        return send(rewards)
    except ValueError:  # httpx writes no NaN
        finite = [each for each in rewards if abs(each.get("value", 0)) < float("inf")]
        return [("refused", "not sent")] * (len(rewards) - len(finite)) + send(finite)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "body",
    [
        b'{"rewards": [' + b"[" * 50_000 + b"]" * 50_000 + b"]}",
        b'{"rewards": [{"value": ' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}]}",
        b'{"rewards": [' + b",".join([b"{}"] * 1001) + b"]}",
        b'{"rewards": [{"value": 1' + b"0" * 100_000 + b"}]}",
        b'{"rewards": "' + b"\\ud800" * 1000 + b'"}',
    ],
    ids=["deep", "deep in a reward", "1,001", "digits", "surrogates"],
)
def test_a_body_that_is_none_is_rejected_and_the_replica_goes_on(site, body):
    token = site.token()
    headers = {"x-api-key": site.own, "content-type": "application/json"}
    url = f"{site.gateways[0].url}/v2/rewards"
    assert httpx.post(url, content=body, headers=headers, timeout=120, trust_env=False).status_code == 400
    (result, why) = over_http(site.gateways[0], site.own, [{**report(token), "value": "0.9"}])[0]
    assert (result, "finite number" in why) == ("refused", True)
    too_many = pb.RewardsRequest(rewards=[pb.Reward()] * 1001).SerializeToString()
    with grpc.insecure_channel(site.gateways[0].grpc) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(f"/{SERVICE}/Send")(too_many, metadata=[("x-api-key", site.own)], timeout=120)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.timeout(900)
@pytest.mark.parametrize("metric", AGGREGATES)
def test_one_decision_moves_a_sum_by_one_value_in_the_range_however_often_it_is_reported(site, send, metric):
    before = site.sums().get(metric, RewardSum(0, 0, 0, 0))
    same, many = site.token(), site.token()
    assert Counter(word for word, _ in send([report(same, metric, 90)] * REPEATS)) == {
        "counted": 1, "duplicate": REPEATS - 1,
    }  # fmt: skip
    said = Counter(word for word, _ in send([report(many, metric, 90, event=f"e{n}") for n in range(REPEATS)]))
    assert said == {"counted": MAX_EVENTS, "refused": REPEATS - MAX_EVENTS}
    after = site.sums()[metric]
    default = MILLION // 10  # 0 in the range from -10 to 90
    assert after.rewarded - before.rewarded == 2
    assert after.total - before.total == 2 * (MILLION - default)


@pytest.mark.timeout(900)
def test_sets_and_retractions_that_race_over_two_replicas_end_where_one_after_the_other_would(site, transport):
    before = site.sums().get("sum", RewardSum(0, 0, 0, 0))
    tokens = [site.token() for _ in range(20)]

    def attack(seed: int) -> set[str]:
        dice = random.Random(seed)  # noqa: S311  # a test that can be repeated
        operations = [
            report(token, "sum", value, event=event, op=op)
            for token in tokens
            for event in ("kept", "retracted")
            for op, value in (("add", 5), ("set", 80), ("set", 90), ("retract", 0))
            if (event, op) != ("kept", "retract")
        ]
        words = set[str]()
        for _ in range(3):
            dice.shuffle(operations)
            words |= {word for word, _ in transport(site.gateways[seed % 2], site.own, operations)}
        return words

    with ThreadPoolExecutor(4) as threads:
        assert set().union(*threads.map(attack, range(4))) == {"counted", "duplicate"}
    transport(site.gateways[0], site.own, [report(each, "sum", 7, event="kept", op="set") for each in tokens])
    after = site.sums()["sum"]
    assert after.rewarded - before.rewarded == len(tokens)
    assert after.total - before.total == len(tokens) * 7 * MILLION // 100
