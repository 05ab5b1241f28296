"""The doctor beside a real Redis and a real S3."""

import pytest

from gateway.cli.doctor.finding import State
from gateway.cli.doctor.log import check_log
from gateway.cli.doctor.store import check_store
from gateway.settings import Settings
from tests.support.redis_server import RedisServer
from tests.support.s3_server import S3Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = S3Server(tmp_path_factory.mktemp("s3"), "logs")
    made.start()
    yield made
    made.kill()


@pytest.mark.parametrize(
    ("options", "states"),
    [
        (("--appendonly", "yes"), {State.OK}),
        (("--appendonly", "no"), {State.OK, State.WARNING}),
        (("--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"), {State.OK, State.FAULT}),
    ],
    ids=["kept", "not kept", "evicting"],
)
def test_a_redis_that_may_lose_what_it_has_is_found(tmp_path, options, states):
    redis = RedisServer(tmp_path / "redis", *options)
    redis.start()
    try:
        assert {each.state for each in check_store(Settings(home=tmp_path, store=redis.url).resolved())} == states
    finally:
        redis.kill()


@pytest.mark.parametrize(
    ("environment", "log", "words"),
    [
        ({}, "s3://logs/prod", ""),
        ({}, "s3://other/prod", "NoSuchBucket"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "s3://logs/prod", "SignatureDoesNotMatch"),
    ],
    ids=["well", "bucket", "secret"],
)
def test_a_log_that_cannot_be_written_says_why(server, tmp_path, monkeypatch, environment, log, words):
    for name, value in (server.environment | environment).items():
        monkeypatch.setenv(name, value)
    (found,) = check_log(Settings(home=tmp_path, log=log).resolved())
    assert found.state is (State.FAULT if words else State.OK), found
    assert words in found.sentence
