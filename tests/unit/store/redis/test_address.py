"""Addresses of Redis stores, read from their URLs."""

import pytest

from store.redis.address import RedisAddress, Topology, is_redis_url, parse_redis_url

SINGLE, SENTINEL, CLUSTER = Topology
P_AT_SS = "p@ss/:"  # percent-encoded below where a URL requires it


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://h", RedisAddress(SINGLE, (("h", 6379),))),
        ("redis://h:7/3", RedisAddress(SINGLE, (("h", 7),), db=3)),
        ("REDIS://h/", RedisAddress(SINGLE, (("h", 6379),))),
        ("redis://ada:p%40ss%2F%3A@h", RedisAddress(SINGLE, (("h", 6379),), user="ada", password=P_AT_SS)),
        ("redis://:p%40ss%2F%3A@h", RedisAddress(SINGLE, (("h", 6379),), password=P_AT_SS)),
        ("redis://[::1]:7", RedisAddress(SINGLE, (("::1", 7),))),
        ("redis://h?prefix=staging-2", RedisAddress(SINGLE, (("h", 6379),), prefix="staging-2")),
        (
            "rediss://h?ca=/etc/ca.pem&certificate=c.pem&key=k.pem",
            RedisAddress(SINGLE, (("h", 6379),), tls=True, ca="/etc/ca.pem", certificate="c.pem", key="k.pem"),
        ),
        (
            "redis+sentinel://ada:p%40ss%2F%3A@a,b:7/main/2?sentinel_user=eve&sentinel_password=p%40ss/:",
            RedisAddress(
                SENTINEL,
                (("a", 26379), ("b", 7)),
                service="main",
                db=2,
                user="ada",
                password=P_AT_SS,
                sentinel_user="eve",
                sentinel_password=P_AT_SS,
            ),
        ),
        ("redis+cluster://a:1,b:2", RedisAddress(CLUSTER, (("a", 1), ("b", 2)))),
        ("rediss+cluster://a,b/0?ca=x", RedisAddress(CLUSTER, (("a", 6379), ("b", 6379)), tls=True, ca="x")),
    ],
)
def test_a_url_is_read(url, address):
    assert is_redis_url(url)
    assert parse_redis_url(url) == address


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://", "a host is missing"),
        ("redis://a,b", "several hosts need"),
        ("redis+cluster://a,,b", "a host is missing"),
        ("redis://geheim:x", "a port is not a number"),
        ("redis://h:70000", "a port is not a number"),
        ("redis://ada:gehe/im@h", "a port is not a number"),
        ("redis://ada:geheim#@h", "#, which in a user or password is written %23"),
        ("redis://ada:geheim?x@h", "a port is not a number|something else behind its question mark"),
        ("redis://ada@h", "a user without a password"),
        ("redis://[geheim", "brackets"),
        ("redis://h/geheim", "the database must be a number"),
        ("redis://h/1/2", "the database must be a number"),
        ("redis://h/-1", "the database must be a number"),
        ("redis+sentinel://a", "the name of the service is missing"),
        ("redis+sentinel://a/main/x", "the database must be a number"),
        ("redis+cluster://a/1", "a cluster has no database but 0"),
        ("redis://h?geheim=1", "something else behind its question mark than prefix"),
        ("redis://h?ca=x", "something else behind its question mark than prefix"),
        ("rediss://h?ca=", "ca is empty"),
        ("rediss://h?key=x", "certificate and key belong together"),
        ("redis://h?sentinel_password=geheim", "something else behind"),
        ("redis://h?prefix={x}", "prefix may have letters"),
        ("redis://h?prefix=", "prefix is empty"),
    ],
)
def test_a_wrong_url_is_refused_with_a_sentence_that_keeps_its_secrets(url, why):
    with pytest.raises(ValueError, match=why) as caught:
        parse_redis_url(url)
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert str(caught.value).startswith("POINTSMAN_STORE names a Redis store, but ")


@pytest.mark.parametrize("url", ["", "redis", "sqlite:///x", "redis+other://h", "http://redis://", "/redis://h"])
def test_other_urls_are_none_of_redis(url):
    assert is_redis_url(url) == (url == "redis")


def test_an_address_does_not_show_its_passwords():
    address = parse_redis_url("redis+sentinel://ada:geheim@a,[::1]:7/main?sentinel_password=heimlich")
    for text in (repr(address), str(address), address.without_secrets("no geheim and no heimlich")):
        assert "geheim" not in text
        assert "heimlich" not in text
    assert str(address) == "a:26379,[::1]:7"
