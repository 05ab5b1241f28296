"""Faults of a real Redis server, and what the store then does."""

import threading
import time

import pytest
from redis import Redis

from router.document.document import Document
from store.errors import StoreUnavailable
from store.interface import Store
from store.redis.scripts import script
from store.revision import Revision
from tests.integration.support import BOUNDED_S, is_reachable
from tests.support.documents import api_key, declared, entry, shifted, sum_key, write, written
from tests.support.polling import wait_until
from tests.support.redis_proxy import RedisProxy
from tests.support.rewards import clicks, decision, reward_key, rewarded


def failed_s(store: Store, document: Document, match: str, **more: object) -> float:
    """Return how many seconds a write took to fail."""
    started_s = time.monotonic()
    with pytest.raises(StoreUnavailable, match=match):
        write(store, document, **more)
    return time.monotonic() - started_s


def test_a_server_that_is_killed_and_comes_back_with_its_data_has_lost_nothing(servers, opened):
    server = servers("--appendonly", "yes", "--appendfsync", "always")
    server.start()
    store = opened(server.url)
    document = written(store, 20)
    store.add_key(api_key("one"))
    store.count("segment", 0, 10, {"fraud": {sum_key(1_800_000_000): 7}}, rewarded(1, b"", b"one"))
    revision = store.revision()
    server.kill()
    assert failed_s(store, shifted(document, 77), "does not answer.*Nothing was changed") < BOUNDED_S
    server.start()
    wait_until(lambda: is_reachable(store))
    assert store.revision() == revision
    assert store.read("fraud").document == document
    assert [each.document.version for each in store.history("fraud", 100)] == list(range(20, 0, -1))
    assert list(store.keys()) == [api_key("one")]
    assert dict(store.sums("fraud", 1)) == {sum_key(0): 7}
    assert store.counted("segment") == 10
    assert store.reward_sums("fraud", 1, 0).totals == {reward_key(0): clicks(1)}
    assert list(store.outcomes([decision(1)])) == [b"one"]
    write(store, shifted(document, 77))
    assert store.revision() == Revision(revision.identity, 21)


def test_a_server_that_comes_back_without_its_data_has_no_identity_and_can_be_given_back_what_is_known(server, opened):
    store = opened(server.url)
    written(store, 3)
    store.add_key(api_key("one"))
    newest, keys, identity = store.read("fraud"), store.keys(), store.revision().identity
    server.kill()
    server.start()
    wait_until(lambda: is_reachable(store))
    assert store.revision() == Revision("", 0)
    assert list(store.routes()) == []
    assert list(store.restore(identity, [newest], keys)) == ["fraud"]
    assert store.revision() == Revision(identity, 1)
    assert store.read("fraud") == newest
    assert list(store.keys()) == [api_key("one")]


def test_a_server_that_is_frozen_costs_one_caller_two_seconds_and_the_others_nothing(server, opened, monkeypatch):
    for bound in ("_SHORTEST_S", "_LONGEST_S"):
        monkeypatch.setattr(f"store.redis.outage.{bound}", 6.0)  # callers are refused at once for 3 to 6 s
    store = opened(server.url)
    document = written(store, 2)
    server.stop()
    assert failed_s(store, shifted(document, 77), "does not answer: .*imeout.*Nothing was changed") < BOUNDED_S
    started_s = time.monotonic()
    with pytest.raises(StoreUnavailable):
        store.revision()
    assert time.monotonic() - started_s < 1.0  # a caller that asks the server waits at least so long
    server.go_on()
    wait_until(lambda: is_reachable(store))
    assert store.read("fraud").document == document
    write(store, shifted(document, 77))
    assert [each.document.version for each in store.history("fraud", 9)] == [3, 2, 1]


def test_a_write_that_was_given_up_is_not_made_when_the_server_wakes_up(server, opened):
    direct = opened(server.url)
    document = written(direct, 2)

    def freeze() -> bool:
        server.stop()
        return True

    proxy = RedisProxy(server, script("compare_and_set").sha, freeze)
    store = opened(proxy.url)
    client = server.client()
    before = script_calls(client)
    sentence = "The change may or may not have been made; check with `pointsman history`."
    assert failed_s(store, shifted(document, 77), sentence, id="a1") >= 1.0
    server.go_on()
    wait_until(lambda: script_calls(client) > before + 1)  # a clock, and the write that had waited in its buffers
    client.close()
    wait_until(lambda: is_reachable(direct))
    assert direct.read("fraud").document == document
    wait_until(lambda: is_reachable(store))
    write(store, shifted(document, 77), id="a1")
    assert [each.change.id for each in direct.history("fraud", 9)] == ["a1", "", ""]
    proxy.close()


def test_rewards_that_were_given_up_are_not_counted_when_the_server_wakes_up(server, opened):
    direct = opened(server.url)
    direct.count("segment", 0, 10, {}, rewarded(1, b"", b"one"))

    def freeze() -> bool:
        server.stop()
        return True

    proxy = RedisProxy(server, script("count").sha, freeze)
    store = opened(proxy.url)
    client = server.client()
    before = script_calls(client)
    with pytest.raises(StoreUnavailable):
        store.count("segment", 10, 20, {}, rewarded(1, b"one", b"two"))
    server.go_on()
    wait_until(lambda: script_calls(client) > before + 1)  # a clock, and the write that had waited in its buffers
    client.close()
    wait_until(lambda: is_reachable(direct))
    assert direct.counted("segment") == 10
    assert direct.reward_sums("fraud", 1, 0).totals == {reward_key(0): clicks(1)}
    assert list(direct.outcomes([decision(1)])) == [b"one"]
    wait_until(lambda: is_reachable(store))
    assert store.count("segment", 10, 20, {}, rewarded(1, b"one", b"two")) == 20
    assert list(direct.outcomes([decision(1)])) == [b"two"]
    proxy.close()


def test_a_write_whose_connection_breaks_is_not_given_up_before_the_server_would_refuse_it(server, opened):
    direct = opened(server.url)
    document = written(direct, 2)

    def freeze_and_break() -> bool:
        server.stop()
        threading.Timer(0.1, proxy.close).start()
        return True

    proxy = RedisProxy(server, script("compare_and_set").sha, freeze_and_break)
    assert failed_s(opened(proxy.url), shifted(document, 77), "may or may not have been made") >= 0.99
    server.go_on()
    wait_until(lambda: is_reachable(direct))
    assert direct.read("fraud").document == document


def script_calls(client: Redis) -> int:
    return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])


VERBS_ONCE = {
    "compare_and_set": lambda store, document: write(store, shifted(document, 77)),
    "add_key": lambda store, _: store.add_key(api_key("two")) or pytest.fail("it was added"),
    "replace_key": lambda store, _: store.revoke_key("one", 5.0),
    "restore": lambda store, _: (
        store.restore(store.revision().identity, [entry(declared("churn"))], []) == ["churn"] or pytest.fail("missing")
    ),
    "count": lambda store, _: store.count("segment", 10, 20, {"fraud": {sum_key(1_800_000_000): 1}}),
    "count rewards": lambda store, _: (
        store.count("segment", 10, 20, {}, rewarded(1, b"one", b"two")) == 20 or pytest.fail("not counted")
    ),
}


@pytest.mark.parametrize("name", VERBS_ONCE)
def test_a_write_whose_reply_is_lost_is_made_once_and_its_caller_learns_it(server, opened, name):
    direct = opened(server.url)
    document = written(direct, 2)
    direct.add_key(api_key("one"))
    direct.count("segment", 0, 10, {"fraud": {sum_key(1_800_000_000): 1}}, rewarded(1, b"", b"one"))
    cut: list[bool] = []

    def cut_off() -> bool:
        cut.append(True)
        return False

    with server.client() as client:
        client.script_load(
            script(name.partition(" ")[0]).source
        )  # so that it is no complaint about an unknown script that is lost
    proxy = RedisProxy(server, script(name.partition(" ")[0]).sha, cut_off)
    VERBS_ONCE[name](opened(proxy.url), document)
    assert cut == [True]
    expected = {
        "compare_and_set": (3, 1, 1, 1, b"one"),
        "add_key": (2, 2, 1, 1, b"one"),
        "replace_key": (2, 2, 1, 1, b"one"),
        "restore": (3, 1, 1, 1, b"one"),
        "count": (2, 1, 2, 1, b"one"),
        "count rewards": (2, 1, 1, 2, b"two"),
    }
    found = (
        direct.revision().number,
        direct.keys_revision(),
        direct.sums("fraud", 1)[sum_key(0)],
        direct.reward_sums("fraud", 1, 0).totals[reward_key(0)].decisions,
        *direct.outcomes([decision(1)]),
    )
    assert found == expected[name]
    proxy.close()


def test_a_write_that_cannot_be_made_does_not_stop_the_readers(server, opened):
    store = opened(server.url)
    document = written(store, 2)
    with server.client() as client:
        client.config_set("maxmemory", "1")
    with pytest.raises(StoreUnavailable, match=r"does not answer: .*memory.*Nothing was changed"):
        write(store, shifted(document, 77))
    with pytest.raises(StoreUnavailable, match=r"does not answer: .*memory"):
        store.count("segment", 0, 10, {}, rewarded(1, b"", b"one"))
    assert store.read("fraud").document == document
    assert list(store.outcomes([decision(1)])) == [b""]
    assert store.counted("segment") == 0
    with server.client() as client:
        client.config_set("maxmemory", "0")
    write(store, shifted(document, 77))
    assert store.count("segment", 0, 10, {}, rewarded(1, b"", b"one")) == 10


def test_waiting_for_changes_goes_on_when_the_server_is_gone_and_back(server, opened):
    store = opened(server.url)
    store.await_change(0.01)
    server.kill()
    started_s = time.monotonic()
    store.await_change(0.2)
    store.await_change(0.2)
    assert 0.3 <= time.monotonic() - started_s < BOUNDED_S
    server.start()
    wait_until(lambda: is_reachable(store))
    store.await_change(0.01)
    store.await_change(0.01)
    written(opened(server.url), 1)
    started_s = time.monotonic()
    store.await_change(3 * BOUNDED_S)
    assert time.monotonic() - started_s < BOUNDED_S
