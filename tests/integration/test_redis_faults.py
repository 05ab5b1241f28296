"""Faults of a real Redis server, and what the store then does."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from router.document.document import Document
from store.errors import StoreUnavailable
from store.interface import Revision, Store
from store.open import open_store
from store.redis.scripts import script
from tests.support.components import need_program
from tests.support.documents import api_key, declared, entry, shifted, sum_key, write, written
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.redis_proxy import RedisProxy
from tests.support.redis_server import RedisServer, need_redis

PASSWORD, OTHER_PASSWORD = {"password": "geheim"}, {"password": "heimlich"}
BOUNDED_S = 20.0
"""Far above the two seconds that a question may take, for a busy machine, and far below waiting for ever."""


@pytest.fixture
def servers(tmp_path) -> Iterator[Callable[..., RedisServer]]:
    """Return a function that makes servers. They end after the test."""
    made: list[RedisServer] = []

    def make(*options: str, **more: object) -> RedisServer:
        made.append(RedisServer(tmp_path / f"redis{len(made)}", *options, **more))
        return made[-1]

    need_redis()
    yield make
    for server in made:
        server.kill()


@pytest.fixture
def opened() -> Iterator[Callable[[str], Store]]:
    """Return a function that opens stores. They are closed after the test."""
    stores: list[Store] = []

    def make(url: str) -> Store:
        stores.append(open_store(url))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def server(servers) -> RedisServer:
    made = servers()
    made.start()
    return made


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
    store.count("segment", 0, 10, {"fraud": {sum_key(1_800_000_000): 7}})
    revision = store.revision()
    server.kill()
    assert failed_s(store, shifted(document, 77), "does not answer.*Nothing was changed") < BOUNDED_S
    server.start()
    wait_until(lambda: answers(store))
    assert store.revision() == revision
    assert store.read("fraud").document == document
    assert [each.document.version for each in store.history("fraud", 100)] == list(range(20, 0, -1))
    assert list(store.keys()) == [api_key("one")]
    assert dict(store.sums("fraud", 1)) == {sum_key(0): 7}
    assert store.counted("segment") == 10
    write(store, shifted(document, 77))
    assert store.revision() == Revision(revision.identity, 21)


def answers(store: Store) -> bool:
    try:
        store.revision()
    except StoreUnavailable:
        return False
    return True


def test_a_server_that_comes_back_without_its_data_has_no_identity_and_can_be_given_back_what_is_known(server, opened):
    store = opened(server.url)
    written(store, 3)
    store.add_key(api_key("one"))
    newest, keys, identity = store.read("fraud"), store.keys(), store.revision().identity
    server.kill()
    server.start()
    wait_until(lambda: answers(store))
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
    wait_until(lambda: answers(store))
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
    sentence = "The change may or may not have been made; `pointsman history` tells"
    assert failed_s(store, shifted(document, 77), sentence, id="a1") >= 1.0
    server.go_on()
    wait_until(lambda: script_calls(client) > before + 1)  # a clock, and the write that had waited in its buffers
    client.close()
    wait_until(lambda: answers(direct))
    assert direct.read("fraud").document == document
    wait_until(lambda: answers(store))
    write(store, shifted(document, 77), id="a1")
    assert [each.change.id for each in direct.history("fraud", 9)] == ["a1", "", ""]
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
    wait_until(lambda: answers(direct))
    assert direct.read("fraud").document == document


def script_calls(client: Redis) -> int:
    return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])


VERBS_ONCE = {
    "compare_and_set": lambda store, document: write(store, shifted(document, 77)),
    "add_key": lambda store, _: store.add_key(api_key("two")) or pytest.fail("it was added"),
    "replace_key": lambda store, _: store.revoke_key("one", 5.0),
    "restore": lambda store, _: (
        store.restore(store.revision().identity, [entry(declared("churn"))], []) == ["churn"] or pytest.fail("not told")
    ),
    "count": lambda store, _: store.count("segment", 10, 20, {"fraud": {sum_key(1_800_000_000): 1}}),
}


@pytest.mark.parametrize("name", VERBS_ONCE)
def test_a_write_whose_answer_is_lost_is_made_once_and_its_caller_learns_it(server, opened, name):
    direct = opened(server.url)
    document = written(direct, 2)
    direct.add_key(api_key("one"))
    direct.count("segment", 0, 10, {"fraud": {sum_key(1_800_000_000): 1}})
    cut: list[bool] = []

    def cut_off() -> bool:
        cut.append(True)
        return False

    with server.client() as client:
        client.script_load(script(name).source)  # so that it is no complaint about an unknown script that is lost
    proxy = RedisProxy(server, script(name).sha, cut_off)
    VERBS_ONCE[name](opened(proxy.url), document)
    assert cut == [True]
    expected = {
        "compare_and_set": (3, 1, 1),
        "add_key": (2, 2, 1),
        "replace_key": (2, 2, 1),
        "restore": (3, 1, 1),
        "count": (2, 1, 2),
    }
    found = direct.revision().number, direct.keys_revision(), direct.sums("fraud", 1)[sum_key(0)]
    assert found == expected[name]
    proxy.close()


def test_a_write_that_cannot_be_made_does_not_stop_the_readers(server, opened):
    store = opened(server.url)
    document = written(store, 2)
    with server.client() as client:
        client.config_set("maxmemory", "1")
    with pytest.raises(StoreUnavailable, match=r"does not answer: .*memory.*Nothing was changed"):
        write(store, shifted(document, 77))
    assert store.read("fraud").document == document
    with server.client() as client:
        client.config_set("maxmemory", "0")
    write(store, shifted(document, 77))


def test_whoever_waits_for_changes_goes_on_when_the_server_is_gone_and_back(server, opened):
    store = opened(server.url)
    store.await_change(0.01)
    server.kill()
    started_s = time.monotonic()
    store.await_change(0.2)
    store.await_change(0.2)
    assert 0.3 <= time.monotonic() - started_s < BOUNDED_S
    server.start()
    wait_until(lambda: answers(store))
    store.await_change(0.01)
    store.await_change(0.01)
    written(opened(server.url), 1)
    started_s = time.monotonic()
    store.await_change(3 * BOUNDED_S)
    assert time.monotonic() - started_s < BOUNDED_S


RIGHTS = (
    "~{pointsman}:* &{pointsman}:* +ping +select +eval +evalsha +time +publish +subscribe +unsubscribe +get +set +del "
    "+exists +expire +hget +hset +hsetnx +hdel +hlen +hkeys +hvals +hmget +hgetall +hincrby +lrange +lpush +rpush "
    "+zadd +zrangebyscore +zrevrangebyscore +zremrangebyrank"
)


def test_a_user_needs_these_rights_and_the_right_password(server, opened):
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "ada", "on", ">geheim", *RIGHTS.split())
        client.execute_command("ACL", "SETUSER", "eve", "on", ">heimlich", "~{other}:*", "+@all")
        client.config_set("requirepass", "unknown")
    store = opened(server.url.replace("//", "//ada:geheim@"))
    store.await_change(0.01)
    document = written(store, 2)
    assert store.add_key(api_key("one"))
    assert store.revoke_key("one", 5.0) is not None
    store.count("segment", 0, 10, {"fraud": {sum_key(1_800_000_000): 7}})
    assert dict(store.recent_sums("fraud", 0)) == {sum_key(1_800_000_000): 7}
    assert dict(store.sums("fraud", 1)) == {sum_key(0): 7}
    store.forget_source("segment")
    assert store.advance_audited(0, 2)
    assert dict(store.documents()) == {"fraud": document}
    assert list(store.restore(store.revision().identity, [entry(declared("churn"))], [])) == ["churn"]
    for user, why in (
        ("ada:heimlich", "does not let us in"),
        ("eve:heimlich", "does not let us in"),
        ("", "let us in"),
    ):
        refused = opened(server.url.replace("//", f"//{user}@" if user else "//"))
        with pytest.raises(StoreUnavailable, match=why) as caught:
            refused.revision()
        assert "heimlich" not in str(caught.value)
        assert "POINTSMAN_STORE" in str(caught.value)


def certificate(folder: Path) -> None:
    """Make an authority, and a certificate of it for 127.0.0.1."""
    need_program("openssl")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(*new, "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority")
    openssl(*new, "-keyout", "redis.key", "-out", "redis.csr", "-subj", "/CN=redis")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    openssl("x509", "-req", "-in", "redis.csr", "-out", "redis.pem", *signed)


def test_a_server_is_reached_over_tls_and_known_by_its_authority(servers, opened, tmp_path):
    certificate(tmp_path)
    port = free_port()
    files = {"cert": "redis.pem", "key": "redis.key", "ca-cert": "ca.pem"}
    options = [word for name, file in files.items() for word in (f"--tls-{name}-file", str(tmp_path / file))]
    server = servers("--port", "0", "--tls-port", str(port), *options, "--tls-auth-clients", "yes", port=port)
    server.start()
    url = server.url.replace("redis://", "rediss://")
    own = f"certificate={tmp_path / 'redis.pem'}&key={tmp_path / 'redis.key'}"
    store = opened(f"{url}?ca={tmp_path / 'ca.pem'}&{own}")
    assert store.read("fraud") is None
    written(store, 2)
    store.await_change(0.01)
    for wrong in (f"{url}?{own}", f"{url}?ca={tmp_path / 'ca.pem'}", f"{url}?ca={tmp_path / 'gone.pem'}", server.url):
        with pytest.raises(StoreUnavailable, match="does not answer"):
            opened(wrong).revision()
    with pytest.raises(StoreUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        opened(f"{url}?{own}").revision()


def test_a_new_master_is_found_through_sentinel(servers, opened):
    secret = ("--requirepass", "geheim", "--masterauth", "geheim")
    master = servers(*secret, "--appendonly", "no")
    master.start()
    replica = servers(*secret, "--replicaof", f"127.0.0.1 {master.port}")
    replica.start()
    config = (
        f"sentinel monitor main 127.0.0.1 {master.port} 1\nsentinel auth-pass main geheim\n"
        "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\nrequirepass heimlich\n"
    )
    sentinel = servers("--sentinel", config=config)
    sentinel.start()
    with replica.client(**PASSWORD) as client:
        wait_until(lambda: client.info("replication")["master_link_status"] == "up", retried=RedisError)
    with sentinel.client(**OTHER_PASSWORD) as client:
        wait_until(lambda: client.sentinel_masters()["main"]["num-slaves"] == 1, retried=RedisError)
    nodes = f"127.0.0.1:{sentinel.port},127.0.0.1:{free_port()}"
    store = opened(f"redis+sentinel://:geheim@{nodes}/main/0?sentinel_password=heimlich")
    document = written(store, 3)
    revision = store.revision()
    with replica.client(**PASSWORD) as client:
        wait_until(lambda: client.llen("{pointsman}:order") == 3, retried=RedisError)
    master.kill()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        write(store, shifted(document, 77))
    wait_until(lambda: answers(store))
    assert store.revision() == revision
    wait_until(lambda: wrote(store, shifted(document, 77)))
    assert store.revision().number == 4
    with pytest.raises(StoreUnavailable, match="no Sentinel that can be reached knows a master of service other"):
        opened(f"redis+sentinel://:geheim@{nodes}/other/0?sentinel_password=heimlich").revision()


def wrote(store: Store, document: Document) -> bool:
    """Try a write: a replica that is being promoted still refuses writes for a moment."""
    try:
        write(store, document, id="a1")
    except StoreUnavailable:
        return False
    return True


def test_a_cluster_holds_the_store_on_one_of_its_masters(servers, opened):
    need_program("redis-cli")
    nodes = [servers("--cluster-enabled", "yes", "--cluster-node-timeout", "1000") for _ in range(3)]
    for node in nodes:
        node.start()
    addresses = [f"127.0.0.1:{node.port}" for node in nodes]
    subprocess.run(["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"], check=True, capture_output=True)
    with nodes[0].client() as client:
        wait_until(lambda: "cluster_state:ok" in client.execute_command("CLUSTER", "INFO"), retried=RedisError)
    # The first named is dead, and the second may not hold the data.
    store = opened(f"redis+cluster://127.0.0.1:{free_port()},{addresses[0]}?prefix=staging")
    other = opened(f"redis+cluster://{','.join(addresses)}?prefix=staging")
    document = written(store, 3)
    store.add_key(api_key("one"))
    assert store.revoke_key("one", 5.0) is not None
    store.count("segment", 0, 10, {"fraud": {sum_key(1_800_000_000): 7, sum_key(1_800_000_010): 1}})
    assert dict(other.documents()) == {"fraud": document}
    assert [each.number for each in other.changes(0, 9)] == [1, 2, 3]
    assert other.sums("fraud", 1)[sum_key(0)] == 8
    assert len(other.recent_sums("fraud", 0)) == 2
    other.await_change(0.01)
    other.await_change(0.01)
    write(store, shifted(document, 77))
    started_s = time.monotonic()
    other.await_change(3 * BOUNDED_S)
    assert time.monotonic() - started_s < BOUNDED_S
    assert other.revision().number == 4
    held = [node for node in nodes if node.client().dbsize()]
    assert len(held) == 1
    held[0].stop()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        store.revision()
    held[0].go_on()
    wait_until(lambda: answers(store))
    assert store.revision() == other.revision()
