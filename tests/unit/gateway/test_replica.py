"""A replica's own life: it checks itself, ends in order, and takes over what others left."""

import asyncio
from contextlib import contextmanager

import httpx
import pytest

from gateway.replica import Unhealthy
from inference_log.query import run_query
from inference_log.spool import all_segments
from router.breaker import FAILURES_IN_A_ROW, Breaker
from runtimes.errors import ModelFailed


def check(gateway) -> None:
    asyncio.run_coroutine_threadsafe(gateway.replica.check(), gateway.loop).result(5)


def test_a_healthy_replica_says_nothing_and_logs_nothing(gateway):
    def rows() -> int:
        return run_query(gateway.home / "log", gateway.home / "spool", "SELECT count(*) FROM inferences")[1][0][0]

    before = rows()
    check(gateway)
    assert rows() == before


def test_a_model_that_fails_is_not_the_replicas_fault(gateway, monkeypatch):
    def fail(inputs, outputs):
        raise ModelFailed("no")

    lane = gateway.replica._holder.current.routes["plain"].arms[0].lane
    monkeypatch.setattr(lane.executor._runtime, "run", fail)
    monkeypatch.setattr(lane, "breaker", Breaker())  # for the time of this test
    assert gateway.infer("plain").status_code == 500
    check(gateway)
    for _ in range(FAILURES_IN_A_ROW):
        gateway.infer("plain")
    assert gateway.infer("plain").status_code == 503
    check(gateway)


def test_a_gateway_that_fails_is_unhealthy(gateway, monkeypatch):
    monkeypatch.setattr("gateway.door._success", None)  # a fault of ours, wherever it may lie
    with pytest.raises(Unhealthy, match="answers 500 to the replica's own request"):
        check(gateway)


def test_an_orderly_end_leaves_parquet_and_the_next_one_goes_on(tmp_path, settings_of, serving):
    chosen = settings_of(tmp_path)
    with contextmanager(serving)(chosen) as first:
        answers = [first.infer() for _ in range(3)]
        assert len(all_segments(chosen.spool)) == 1
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{chosen.port}/v2", trust_env=False)
    assert all_segments(chosen.spool) == []
    assert len(list((tmp_path / "log").rglob("*.parquet"))) == 1
    decisions = {answer.headers["x-decision-id"] for answer in answers}
    with contextmanager(serving)(chosen) as second:
        decisions.add(second.infer().headers["x-decision-id"])
        assert second.replica._seat.number == 0
    rows = run_query(tmp_path / "log", chosen.spool, "SELECT decision_id FROM inferences")[1]
    assert sorted(decision for (decision,) in rows) == sorted(decisions)
