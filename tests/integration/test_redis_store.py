"""What only Redis does: keys that expire, stores that share a server, and many writers at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from store.counted import BUCKETS_KEPT_S
from store.errors import Conflict, StoreUnavailable
from store.interface import Store
from store.open import open_store
from tests.support.documents import api_key, declared, report, shifted, sum_key, write, written
from tests.support.redis_server import RedisServer

THREADS, ATTEMPTS = 16, 1000
NOW_S = 1_800_000_000
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


def test_a_thousand_attempts_on_one_document_from_many_threads_are_each_made_once(store):
    write(store, declared(), "first")

    def attempt(number: int) -> None:
        while True:
            try:
                document = store.read("fraud").document
                write(store, shifted(document, document.weights["canary"] + 1), str(number))
            except StoreUnavailable as busy:  # a slow machine; the history below has each change once
                if "may or may not" in str(busy):
                    raise
            except Conflict as conflict:
                if conflict.current <= document.version:  # a write that loses has lost to a newer version
                    raise
            else:
                return

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(attempt, range(ATTEMPTS)))

    history = store.history("fraud", 2 * ATTEMPTS)
    assert [entry.document.version for entry in history] == list(range(ATTEMPTS + 1, 0, -1))
    assert sorted(entry.change.what for entry in history) == sorted(["first", *map(str, range(ATTEMPTS))])
    assert history[0].document.weights["canary"] == 1000 + ATTEMPTS
    assert store.revision().number == ATTEMPTS + 1
    assert [each.number for each in store.changes(0, 2 * ATTEMPTS)] == list(range(1, ATTEMPTS + 2))


def kept_s(client: Redis) -> dict[str, int]:
    """Return how many seconds each key is kept, except those of attempts; -1 means for ever."""
    return {
        key.removeprefix("{pointsman}:"): int(client.ttl(key)) for key in client.scan_iter() if ":attempt:" not in key
    }


def test_what_people_write_is_kept_for_ever_and_what_traffic_adds_up_to_is_not(store, client):
    written(store, 2)
    store.advance_audited(0, 1)
    store.add_key(api_key("one"))
    store.report(report("one"))
    store.count("segment", 0, 10, {"fraud": {sum_key(NOW_S): 1}})
    kept = kept_s(client)
    of_reports = {"reports", "reported", "report_times"}
    for_ever = {
        "store",
        "routes",
        "order",
        "keys",
        "history:fraud",
        "document:1:fraud",
        "document:2:fraud",
        *of_reports,
    }
    assert {key for key, seconds in kept.items() if seconds == -1} == for_ever
    expected = {
        "segment": 7 * DAY_S,
        "bucket": BUCKETS_KEPT_S,
        "buckets": BUCKETS_KEPT_S,
        "total": 30 * DAY_S,
        "totals": 30 * DAY_S,
    }
    found = {
        "segment": kept["source:segment"],
        "bucket": kept[f"bucket:{NOW_S}:fraud"],
        "buckets": kept["buckets:fraud"],
        "total": kept["total:1:fraud"],
        "totals": kept["totals:fraud"],
    }
    for name, seconds in expected.items():
        assert seconds - 5 <= found[name] <= seconds
    attempts = [int(client.ttl(key)) for key in client.keys("*:attempt:*")]
    assert len(attempts) == 1
    assert all(0 < seconds <= 60 for seconds in attempts)


def test_every_addition_prolongs_what_it_adds_to(store, client):
    store.count("segment", 0, 10, {"fraud": {sum_key(NOW_S): 1}})
    for key in client.scan_iter():
        client.expire(key, 100)
    store.count("segment", 10, 20, {"fraud": {sum_key(NOW_S): 1}})
    assert min(kept_s(client).values()) > 1000


def test_an_index_keeps_no_more_than_an_hour_of_buckets(store, client):
    for number in range(0, 500, 50):
        added = {sum_key(NOW_S + 10 * bucket): 1 for bucket in range(number, number + 50)}
        store.count("segment", number, number + 50, {"fraud": added})
    assert client.zcard("{pointsman}:buckets:fraud") == 361
    assert len(store.recent_sums("fraud", NOW_S)) == 361
    assert dict(store.sums("fraud", 1)) == {sum_key(0): 500}


@pytest.mark.parametrize("is_of_earlier_release", [False, True])
def test_a_replica_that_was_silent_for_a_minute_is_forgotten_when_another_reports(store, client, is_of_earlier_release):
    store.report(report("old"))
    store.report(report("young"))
    now_s = client.time()[0]
    for replica, silent_s in (("old", 62), ("young", 50)):
        client.zadd("{pointsman}:reported", {replica: now_s - silent_s})
        report_text = client.hget("{pointsman}:reports", replica).partition(" ")[2]
        client.hset("{pointsman}:reports", replica, f"{now_s - silent_s} {report_text}")
    if is_of_earlier_release:  # which keeps the reports alone
        client.delete("{pointsman}:reported", "{pointsman}:report_times")
    store.report(report("new"))
    assert [each.replica for each in store.reports()] == ["new", "young"]


def test_stores_with_prefixes_and_databases_of_their_own_share_a_server(server, client, store):
    others = [open_store(f"{server.url}{path}") for path in ("?prefix=staging", "/1")]
    document = written(store, 2)
    for other in others:
        assert other.read("fraud") is None
        assert other.revision() == ("", 0)
        write(other, declared("churn"))
        other.close()
    assert dict(store.documents()) == {"fraud": document}
    assert client.hkeys("{staging}:routes") == ["churn"]
    client.flushall()


def test_scripts_are_sent_again_to_a_server_that_has_forgotten_them(store, client):
    document = written(store, 2)
    client.script_flush()
    write(store, shifted(document, 77))
    assert store.revision().number == 3


def test_a_sum_that_was_damaged_is_left_out(store, client):
    store.count("segment", 0, 10, {"fraud": {sum_key(NOW_S): 1}})
    client.hset(f"{{pointsman}}:bucket:{NOW_S}:fraud", "half a [", 5)
    assert dict(store.recent_sums("fraud", 0)) == {sum_key(NOW_S): 1}


def test_every_key_is_in_one_slot_of_a_cluster(store, client):
    written(store, 2)
    store.add_key(api_key("one"))
    store.count("segment", 0, 10, {"fraud": {sum_key(NOW_S): 1}})
    assert all(key.startswith("{pointsman}:") for key in client.scan_iter())
