"""A replica checks itself, ends in order, and ships what other replicas left."""

import asyncio

import httpx
import pytest

from gateway.access.api_keys import make_key
from gateway.execution.breaker import FAILURES_IN_A_ROW, Breaker
from gateway.replica.leaving import announce
from gateway.replica.replica import Unhealthy
from inference_log.files.directory import DirectoryFiles
from inference_log.query import run_query
from inference_log.spool import all_segments
from runtimes.errors import ModelFailed
from tests.support.flaky_store import FlakyStore
from tests.support.polling import PATIENCE_S, wait_until


def check(gateway) -> None:
    asyncio.run_coroutine_threadsafe(gateway.replica.check(), gateway.loop).result(PATIENCE_S)


def test_a_healthy_replica_says_nothing_and_logs_nothing(gateway):
    def rows() -> int:
        return run_query(
            DirectoryFiles(gateway.home / "log"), gateway.home / "spool", "SELECT count(*) FROM inferences"
        )[1][0][0]

    before = rows()
    check(gateway)
    assert rows() == before


def test_a_model_that_fails_is_not_the_replicas_fault(gateway, monkeypatch):
    def fail(inputs, outputs):
        raise ModelFailed("no")

    lane = gateway.replica._holder.current.routes["plain"].arms[0].lane
    monkeypatch.setattr(lane.executor._runtime, "run", fail)
    monkeypatch.setattr(lane, "breaker", Breaker())  # for this test only
    assert gateway.infer("plain").status_code == 500
    check(gateway)
    for _ in range(FAILURES_IN_A_ROW):
        gateway.infer("plain")
    assert gateway.infer("plain").status_code == 503
    check(gateway)


def test_a_gateway_that_fails_is_unhealthy(gateway, monkeypatch):
    monkeypatch.setattr("gateway.http.content_work.encode_prediction", None)  # stands for any bug of ours
    monkeypatch.setattr("gateway.replica.probe._PATIENCE_S", PATIENCE_S)  # for a busy machine
    with pytest.raises(Unhealthy, match="answers 500 to the replica's own request"):
        check(gateway)


def test_a_replica_of_a_machine_that_leaves_is_not_ready_and_goes_on_answering(gateway):
    def statuses() -> list[int]:
        return [gateway.http.get(path).status_code for path in ("/-/healthz", "/v2/health/ready", "/v2/health/live")]

    assert statuses() == [200, 200, 200]
    announce(gateway.home)
    assert statuses() == [503, 503, 200]
    assert gateway.http.get("/-/healthz").text == "leaving"
    assert "about to leave" in gateway.http.get("/v2/health/ready").json()["error"]
    assert gateway.infer("plain").status_code == 200
    check(gateway)  # Serve must not replace it
    (gateway.home / "leaving").unlink()
    assert statuses() == [200, 200, 200]


def test_a_replica_is_not_ready_until_its_start_is_over(gateway, monkeypatch):
    monkeypatch.setattr(gateway.replica, "_has_started", False)
    assert gateway.http.get("/-/healthz").text == "starting"
    assert gateway.infer("plain").status_code == 200


def test_an_orderly_end_leaves_parquet_and_the_next_one_goes_on(tmp_path, settings_of, serving, monkeypatch):
    monkeypatch.setattr("gateway.companion.keeper._LAST_WORK_S", PATIENCE_S)  # for a busy machine
    chosen = settings_of(tmp_path)
    with serving(chosen) as first:
        answers = [first.infer() for _ in range(3)]
        assert len(all_segments(chosen.spool)) == 1
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{chosen.port}/v2", trust_env=False)
    assert all_segments(chosen.spool) == []
    assert len(list((tmp_path / "log").glob("inferences/**/*.parquet"))) == 1
    decisions = {answer.headers["x-decision-id"] for answer in answers}
    with serving(chosen) as second:
        decisions.add(second.infer().headers["x-decision-id"])
        assert second.replica._seat.number == 0
    rows = run_query(DirectoryFiles(tmp_path / "log"), chosen.spool, "SELECT decision_id FROM inferences")[1]
    assert sorted(decision for (decision,) in rows) == sorted(decisions)


class Lasting(FlakyStore):
    """Stays open when a replica closes it."""

    def close(self) -> None:
        """See `Store.close`."""


def test_a_replica_starts_and_serves_who_has_a_key_while_its_store_is_away(
    tmp_path, settings_of, serving, declare, monkeypatch
):
    store = Lasting(tmp_path)
    key, shown = make_key("shop", ["predict"], created_by="ada", now_s=0.0)
    store.add_key(key)
    declare(store, {"route": "plain", "arms": {"a": "linear:1"}, "split": {"a": 1}})
    monkeypatch.setattr("gateway.replica.build.open_store", lambda _: store)
    chosen, allowed = settings_of(tmp_path, access="required"), {"authorization": f"Bearer {shown}"}
    with serving(chosen) as first:
        assert first.infer(headers=allowed).status_code == 200
    store.is_away = True
    with serving(chosen) as second:
        assert second.infer(headers=allowed).status_code == 200
        assert second.infer(headers={"authorization": "Bearer nobody"}).status_code == 401
        check(second)
    store.real.close()


def test_what_is_answered_is_counted_within_moments(gateway):
    """A background thread counts them."""
    policy = gateway.replica._holder.current.routes["half"].route.document_version

    def requests() -> int:
        sums = gateway.replica._store.sums("half", policy)
        return sum(value for key, value in sums.items() if key.name == "requests")

    before = requests()
    for number in range(20):
        gateway.infer("half", headers={"x-user-id": f"u{number}"})
    gateway.infer("half", headers={"x-force-arm": "a"})
    wait_until(lambda: requests() == before + 20)


def test_a_bad_arm_loses_its_traffic_by_itself(gateway, declare, monkeypatch):
    """From the responses to the log, the sums, the verdict, the document and back into the live table."""
    store, holder = gateway.replica._store, gateway.replica._holder
    guarded = {
        "route": "guarded",
        "arms": {"stable": "linear:1", "b": "linear:2"},
        "split": {"stable": "50%", "b": "50%"},
        "fallback": "stable",
        "guardrails": [{"errors": {"worse_by": "1%"}}],
    }
    declare(store, guarded)
    wait_until(lambda: "guarded" in holder.current.routes)
    lane = holder.current.routes["guarded"].arms[1].lane

    def fail(inputs, outputs):
        raise ModelFailed("no")

    monkeypatch.setattr(lane.executor._runtime, "run", fail)
    monkeypatch.setattr(lane, "breaker", Breaker())
    for _ in range(60):
        assert gateway.infer("guarded").status_code == 200  # the fallback answers
    wait_until(lambda: holder.current.routes["guarded"].route.arms[1].slots == 0)
    entry = store.read("guarded")
    assert (entry.change.who, entry.change.what) == ("pointsman", "abort b: errors")
    assert "requests of b failed" in entry.change.why
    wait_until(lambda: 'pointsman_aborts_total{arm="b"' in gateway.http.get("/metrics").text)
    assert {gateway.infer("guarded").headers["x-arm"] for _ in range(20)} == {"stable"}


def test_a_bad_arm_of_a_bandit_loses_its_traffic_and_the_others_share_it(gateway, declare, monkeypatch):
    """The propensities in the log are the weights after that."""
    store, holder = gateway.replica._store, gateway.replica._holder
    bandit = {
        "route": "moving",
        "arms": {"a": "linear:1", "b": "linear:2", "c": "linear:1"},
        "bandit": {"policy": "thompson", "reward": "click", "from": {"a": "40%", "b": "40%", "c": "20%"}},
        "metrics": {"click": {"window": "10m"}},
        "fallback": "a",
        "guardrails": [{"errors": {"worse_by": "1%"}}],
    }
    declare(store, bandit)
    wait_until(lambda: "moving" in holder.current.routes)
    lane = holder.current.routes["moving"].arms[1].lane

    def fail(inputs, outputs):
        raise ModelFailed("no")

    monkeypatch.setattr(lane.executor._runtime, "run", fail)
    monkeypatch.setattr(lane, "breaker", Breaker())
    for _ in range(100):
        assert gateway.infer("moving").status_code == 200  # the fallback answers
    wait_until(lambda: holder.current.routes["moving"].route.arms[1].slots == 0)
    entry = store.read("moving")
    assert (entry.change.who, entry.change.what) == ("pointsman", "abort b: errors")
    assert [each.name for each in entry.document.quarantine] == ["linear:2"]
    assert entry.document.weights == {"a": 6_667, "b": 0, "c": 3_333}
    assert entry.document.phase == "PROGRESSING"
    ids = {gateway.infer("moving").headers["x-decision-id"] for _ in range(60)}
    rows = run_query(
        DirectoryFiles(gateway.home / "log"),
        gateway.home / "spool",
        "SELECT decision_id, arm, propensity, weights['b'] FROM inferences WHERE route = 'moving' AND role = 'primary'",
    )[1]
    logged = {(arm, propensity, of_b) for decision, arm, propensity, of_b in rows if decision in ids}
    assert logged == {("a", 0.6667, 0.0), ("c", 0.3333, 0.0)}
    status = gateway.http.get("/api/status").json()
    (route,) = [each for each in status["routes"] if each["route"] == "moving"]
    assert next(each["state"] for each in route["guardrails"] if each["arm"] == "b") == "UNHEALTHY"
    ratio = route["sample_ratio"]
    assert ratio["state"] == "AS_EXPECTED"
    assert sum(ratio["drawn"].values()) == pytest.approx(sum(ratio["expected"].values()))
    assert ratio["drawn"]["b"] > 0
