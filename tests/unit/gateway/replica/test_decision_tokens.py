"""Decision tokens over real sockets: whoever learns from a route's decisions gets them, by every protocol."""

import asyncio
import time
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput

from gateway.inference.decision_token import Decision, TokenRefused, declared, open_token
from gateway.inference.token_key_file import TokenKeyFile, rotate
from inference_log.exposures import tally_exposures
from inference_log.record import Record
from inference_log.segment import Segment, read_segment
from inference_log.spool import all_segments
from router.evidence.sums import group_of
from router.rewards.buckets import bucket_s
from router.rewards.sums import NO_GROUP
from store.open import open_store
from tests.support.polling import PATIENCE_S, wait_until
from tests.support.ports import free_port

LEARNS = {
    "route": "learns",
    "arms": {"a": "linear:1", "b": "linear:2"},
    "split": {"a": "30%", "b": "70%"},
    "unit": "header:x-user-id",
    "metrics": {"click": {"window": "10m"}},
}
ROWS = [[1.0, 2.0, 3.0, 4.0]]


class Learning:
    """A gateway with a route that has metrics, and what a companion needs to open tokens."""

    def __init__(self, gateway: Any, settings: Any) -> None:
        self.gateway, self.settings = gateway, settings
        store = open_store(settings.store)
        entry = store.read("learns")
        store.close()
        assert entry is not None
        self.document = entry.document

    def open(self, token: str) -> Decision:
        routes = declared({"learns": self.document.declared_us})
        return open_token(token, TokenKeyFile(self.settings.home / "token-keys", time.time()).current, routes)

    def records(self) -> dict[str, Record]:
        """Return the answers in the log, by decision id."""
        return {each.decision_id: each for found in self.segments() for each in found.records if each.outcome == "ok"}

    def segments(self) -> list[Segment]:
        found = [read_segment(path.read_bytes()) for path in all_segments(self.settings.spool)]
        return [each for each in found if each is not None]


@pytest.fixture
def learning(settings_of, serving, declare, tmp_path):
    settings = settings_of(tmp_path, grpc_port=free_port(), segment_max_age_s=3600.0)
    store = open_store(settings.store)
    declare(store, LEARNS)
    store.close()
    with serving(settings) as gateway:
        wait_until(lambda: gateway.infer("learns").status_code == 200)
        yield Learning(gateway, settings)


def test_every_protocol_gives_the_token_of_the_decision_in_the_log(learning):
    gateway = learning.gateway
    instances, user = {"instances": ROWS}, {"x-user-id": "anna"}
    answers = [
        gateway.infer("learns"),
        gateway.infer("learns", headers=user),
        gateway.http.post("/v1/models/learns:predict", json=instances, headers=user),
        gateway.http.post("/invocations", json=instances, headers={"x-route": "learns"}),
        gateway.http.post("/endpoints/learns/invocations", json=instances),
        gateway.infer("learns", headers={"x-force-arm": "a"}),
        gateway.infer("learns/versions/2"),
    ]
    tokens = [answer.headers["x-decision-token"] for answer in answers]
    for answer, token in zip(answers, tokens, strict=True):
        assert answer.status_code == 200
        if "outputs" in answer.json():
            assert answer.json()["parameters"]["decision_token"] == token
        assert learning.open(token).decision_id == answer.headers["x-decision-id"]
    with InferenceServerClient(f"127.0.0.1:{learning.settings.grpc_port}") as client:
        tensor = InferInput("X", [1, 4], "FP32")
        tensor.set_data_from_numpy(np.array(ROWS, np.float32))
        said = client.infer("learns", [tensor], headers=user).get_response().parameters
        tokens.append(said["decision_token"].string_param)
        assert learning.open(tokens[-1]).decision_id == said["decision_id"].string_param
    records = learning.records()
    for decision in map(learning.open, tokens):
        record = records[decision.decision_id]
        assert (decision.decided_us, decision.latency_us) == (record.event_us - record.latency_us, record.latency_us)
        assert decision.propensity == record.propensity
        assert decision.group == (NO_GROUP if record.unit_hash is None else group_of(record.unit_hash))
        assert decision.policy_version == learning.document.version
        assert decision.declared_us == learning.document.declared_us
    drawn = [learning.open(token).propensity for token in tokens]
    assert drawn[5:7] == [None, None]
    assert {each for each in drawn if each is not None} <= {0.3, 0.7}


def test_rewards_meet_the_exposures_of_their_decisions(learning):
    """Every exposure in the log is in the time bucket, group and arm that the token of its decision gives."""
    answers = [learning.gateway.infer("learns", headers={"x-user-id": f"u{number}"}) for number in range(20)]
    ids = {answer.headers["x-decision-id"] for answer in answers}
    (click,) = learning.document.spec.metrics
    expected: dict[tuple[int, str, int], int] = {}
    for answer in answers:
        decision = learning.open(answer.headers["x-decision-token"])
        for group in (NO_GROUP, decision.group):
            key = bucket_s(decision.decided_us, click), decision.arm, group
            expected[key] = expected.get(key, 0) + 1
    counted: dict[tuple[int, str, int], int] = {}
    for segment in learning.segments():
        records = [record for record in segment.records if record.decision_id in ids]
        for key, begun in tally_exposures(segment.contexts, records).get("learns", {}).items():
            counted[key.bucket_s, key.arm, key.group] = begun.decisions
    assert counted == expected


def test_what_learns_nothing_has_no_token(learning):
    gateway = learning.gateway
    assert "x-decision-token" not in gateway.infer("plain").headers
    assert "decision_token" not in gateway.infer("plain").json()["parameters"]
    for refused in (
        gateway.infer("learns", [1.0, 2.0]),
        gateway.infer("learns", headers={"x-force-arm": "none"}),
        gateway.infer("nowhere"),
    ):
        assert refused.status_code >= 400
        assert "x-decision-id" in refused.headers
        assert "x-decision-token" not in refused.headers
    asyncio.run_coroutine_threadsafe(gateway.replica.check(), gateway.loop).result(PATIENCE_S)  # its own requests


def test_a_route_that_is_removed_and_declared_anew_refuses_its_earlier_tokens(learning):
    old = learning.gateway.infer("learns").headers["x-decision-token"]
    routes = declared({"learns": learning.document.declared_us + 1})
    keys = TokenKeyFile(learning.settings.home / "token-keys", time.time()).current
    with pytest.raises(TokenRefused, match="Route learns was declared anew"):
        open_token(old, keys, routes)


def test_a_replica_seals_with_a_new_key_without_a_restart(learning):
    path = learning.settings.home / "token-keys"
    before = learning.gateway.infer("learns").headers["x-decision-token"]
    new = rotate(path, time.time() - 3600).new_id  # as if an hour ago
    wait_until(lambda: learning.gateway.replica._token_keys.current.sealing.hex() == new)
    after = learning.gateway.infer("learns").headers["x-decision-token"]
    assert {learning.open(token).arm for token in (before, after)} <= {"a", "b"}
    assert before[:8] != after[:8]
