"""What only Redis does with rewards: keys that expire, and how large they are."""

from collections.abc import Iterator

import msgspec
import pytest
from redis import Redis
from redis.crc import key_slot

from router.rewards.buckets import BUCKETS_KEPT, LENGTHS_S
from router.rewards.outcomes import KEPT_AT_LEAST_S
from store.counted import VERSIONS_READ
from store.interface import Rewarded, Store
from store.open import open_store
from tests.support.polling import wait_until
from tests.support.redis_server import RedisServer
from tests.support.rewards import NOW_S, changed, clicks, decision, reward_key, rewarded

DAY_S = 24 * 3600


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path_factory.mktemp("redis"))
    made.start()
    yield made
    made.kill()


@pytest.fixture
def client(server) -> Iterator[Redis]:
    with server.client() as made:
        made.flushall()
        yield made


@pytest.fixture
def store(server, client) -> Iterator[Store]:
    made = open_store(server.url)
    yield made
    made.close()


def names(client: Redis) -> set[str]:
    """Return all keys, without what they have in common."""
    return {key.removeprefix("{pointsman}:") for key in client.scan_iter()}


def test_outcomes_are_kept_until_their_time_by_the_clock_of_the_server(store, client):
    now_s = client.time()[0]
    store.count("segment", 0, 1, {}, Rewarded(outcomes=[changed(1, b"", b"one", now_s + 5000)]))
    [key] = client.scan_iter("*:outcome:*")
    assert client.expiretime(key) == now_s + 5000
    store.count("segment", 1, 2, {}, Rewarded(outcomes=[changed(1, b"one", b"two", now_s + 90 * DAY_S)]))
    assert client.expiretime(key) == now_s + 90 * DAY_S


@pytest.mark.parametrize("until_s", [0, 1, NOW_S // 2])
def test_outcomes_whose_window_is_over_are_kept_for_a_while(store, client, until_s):
    """Rewards that came in time are counted after an outage, and the same rewards from another machine after them."""
    store.count("one", 0, 1, {}, Rewarded(outcomes=[changed(1, b"", b"one", until_s)]))
    [key] = client.scan_iter("*:outcome:*")
    assert KEPT_AT_LEAST_S - 60 < client.ttl(key) <= KEPT_AT_LEAST_S
    assert list(store.outcomes([decision(1)])) == [b"one"]


def test_outcomes_are_forgotten_after_their_time(store, client):
    store.count("segment", 0, 1, {}, rewarded(1, b"", b"one"))
    [key] = client.scan_iter("*:outcome:*")
    client.expire(key, 1)
    wait_until(lambda: list(store.outcomes([decision(1)])) == [b""])
    assert store.count("segment", 1, 2, {}, rewarded(1, b"", b"again")) == 2


def test_an_outcome_takes_little_memory(store, client):
    """Half of it is what Redis needs for any key that expires. The name is not longer for long names of routes."""
    report = {"click": {"e1": ("add", NOW_S * 1_000_000, 1.0)}}
    content = msgspec.msgpack.encode(report)
    key = decision(1, route="a-route-with-a-long-name" * 4)
    store.count("segment", 0, 1, {}, Rewarded(outcomes=[changed(1, b"", content)._replace(key=key)]))
    [name] = client.scan_iter("*:outcome:*")
    assert len(name) == 42
    assert client.memory_usage(name) <= 160


def test_sums_of_rewards_expire(store, client):
    added = {reward_key(NOW_S, group=group, length_s=length) for group in (-1, 5) for length in LENGTHS_S}
    store.count("segment", 0, 1, {}, Rewarded({"fraud": dict.fromkeys(added, clicks(1))}))
    for key in client.scan_iter("*rewards_in:*"):
        length_s = int(key.split("rewards_in:")[1].split(":")[0])
        assert 0 <= BUCKETS_KEPT * length_s - client.ttl(key) < 60
    totals = {"rewards:fraud", "rewards:fraud:1", "group_rewards:fraud", "group_rewards:fraud:1"}
    assert totals <= names(client)
    assert all(0 <= 120 * DAY_S - client.ttl(f"{{pointsman}}:{key}") < 60 for key in totals)


@pytest.mark.parametrize("group", [-1, 5])
def test_hashes_that_are_no_longer_listed_are_deleted(store, client, group):
    """A bandit writes thousands of policy versions a day."""
    prefix = "group_" if group >= 0 else ""
    for version in range(1, VERSIONS_READ + 51):
        bucket_s = NOW_S + 20 * version
        added = {reward_key(bucket_s, version, group): clicks(1), reward_key(bucket_s + 10, version, group): clicks(1)}
        store.count("segment", version - 1, version, {}, Rewarded({"fraud": added}))
    totals = {f"{prefix}rewards:fraud:{version}" for version in range(51, VERSIONS_READ + 51)}
    assert {key for key in names(client) if key.startswith(f"{prefix}rewards:fraud:")} == totals
    newest_s = NOW_S + 20 * (VERSIONS_READ + 50) + 10
    buckets = {f"{prefix}rewards_in:10:fraud:{newest_s - 10 * number}" for number in range(BUCKETS_KEPT)}
    assert {key for key in names(client) if key.startswith(f"{prefix}rewards_in:10:fraud:")} == buckets
    old = Rewarded({"fraud": {reward_key(NOW_S, 1, group): clicks(1)}})
    assert store.count("other", 0, 1, {}, old) == 1  # of a decision that was made under an old version
    assert {key for key in names(client) if key.startswith(f"{prefix}rewards:fraud:")} == totals


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("half a [", "5"),
        ("", "5"),
        ("t", "5"),
        ('x[1800000000,10,1,"canary","17","click"]', "5"),
        ('t[1800000000,10,1,"canary","17","click"]', "half"),
        ('t[1800000000,10,1,"canary","17","click"]', "1.5"),
        ('t[1800000000,10,1,"canary","17","click"]', ""),
        ('t[1800000000,10,1,"canary",17,"click"]', "5"),
    ],
)
def test_a_sum_of_rewards_of_which_anything_is_damaged_is_left_out(store, client, field, value):
    other = reward_key(NOW_S)._replace(metric="revenue")
    store.count("segment", 0, 10, {}, Rewarded({"fraud": {reward_key(NOW_S): clicks(1), other: clicks(2)}}))
    client.hset(f"{{pointsman}}:rewards_in:10:fraud:{NOW_S}", field, value)
    recent = store.reward_sums("fraud", 1, 0).recent
    own = {} if field.endswith('"17","click"]') else {reward_key(NOW_S): clicks(1)}
    assert recent == {other: clicks(2), **own}
    store.count("segment", 10, 20, {}, Rewarded({"fraud": {reward_key(NOW_S): clicks(1), other: clicks(2)}}))
    recent = store.reward_sums("fraud", 1, 0).recent  # what is damaged stays so, and the others grow
    assert recent == {other: clicks(4), **{key: clicks(2) for key in own}}


def test_every_key_of_rewards_is_in_one_slot_of_a_cluster(store, client):
    added = {reward_key(NOW_S, group=group) for group in (-1, 5)}
    outcomes = [changed(number, b"", b"one") for number in range(100)]
    store.count("segment", 0, 1, {}, Rewarded({"fraud": dict.fromkeys(added, clicks(1))}, outcomes))
    assert len({key_slot(key.encode()) for key in client.scan_iter()}) == 1
    assert client.dbsize() == 2 + 100 + 8
