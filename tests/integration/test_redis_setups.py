"""Redis as operators run it: with users and rights, over TLS, behind Sentinel, as a cluster."""

import subprocess
import time
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from router.document.document import Document
from store.errors import StoreUnavailable
from store.interface import Store
from tests.integration.support import BOUNDED_S, is_reachable
from tests.support.components import need_program
from tests.support.documents import api_key, declared, entry, shifted, sum_key, write, written
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.rewards import clicks, decision, reward_key, rewarded

PASSWORD, OTHER_PASSWORD = {"password": "geheim"}, {"password": "heimlich"}
RIGHTS = (
    "~{pointsman}:* &{pointsman}:* +ping +select +eval +evalsha +time +publish +subscribe +unsubscribe +get +set +del "
    "+exists +expire +mget +hget +hset +hsetnx +hdel +hlen +hkeys +hvals +hmget +hgetall +hincrby +lrange +lpush "
    "+rpush +zadd +zrangebyscore +zrevrangebyscore +zremrangebyrank"
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
    store.count("segment", 0, 10, {"fraud": {sum_key(1_800_000_000): 7}}, rewarded(1, b"", b"one"))
    assert store.counted_each(["segment"]) == {"segment": 10}
    assert store.reward_sums("fraud", 1, 0).totals == {reward_key(0): clicks(1)}
    assert list(store.outcomes([decision(1)])) == [b"one"]
    assert dict(store.recent_sums("fraud", 0)) == {sum_key(1_800_000_000): 7}
    assert dict(store.sums("fraud", 1)) == {sum_key(0): 7}
    store.forget_source("segment")
    assert store.advance_audited(0, 2)
    assert dict(store.documents()) == {"fraud": document}
    assert list(store.restore(store.revision().identity, [entry(declared("churn"))], [])) == ["churn"]
    for user, why in (
        ("ada:heimlich", "denies access"),
        ("eve:heimlich", "denies access"),
        ("", "denies access"),
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
    wait_until(lambda: is_reachable(store))
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
    sums = {"fraud": {sum_key(1_800_000_000): 7, sum_key(1_800_000_010): 1}}
    store.count("segment", 0, 10, sums, rewarded(1, b"", b"one\xff"))
    store.count("segment", 10, 20, {}, rewarded(2, b"", b"two"))
    assert other.reward_sums("fraud", 1, 0) == ({reward_key(0): clicks(2)}, {reward_key(1_800_000_000): clicks(2)})
    assert list(other.outcomes([decision(2), decision(3), decision(1)])) == [b"two", b"", b"one\xff"]
    assert other.counted_each(["segment", "none"]) == {"segment": 20, "none": 0}
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
    wait_until(lambda: is_reachable(store))
    assert store.revision() == other.revision()
