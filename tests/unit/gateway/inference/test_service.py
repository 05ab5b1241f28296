"""The inference service: what every protocol edge shares. Access, room, deadlines, units, rejected requests."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gateway.errors import BadRequest, Forbidden, NotReady, Overloaded, TooLarge, TooLate
from gateway.inference.call import Answer
from gateway.inference.decision_token import Decision, declared, open_token
from gateway.inference.live_table import LiveTableHolder
from gateway.inference.sender import Sender
from gateway.inference.service import InferenceService, Prediction, new_decision_id
from gateway.inference.targeting import Targeting
from gateway.inference.token_keys import TokenKey, TokenKeys
from gateway.protocols.request import InferenceRequest
from router.errors import UnknownRoute, UnknownVersion
from router.evidence.sums import group_of
from runtimes.errors import ModelFailed
from tests.unit.gateway.inference.support import Fake

STARTED_S = 1000.0


class Guard:
    """Admits the user `anna` alone."""

    def admit(self, headers: Any, scope: str, route: str | None) -> str:
        if headers.get(b"x-user") != b"anna":
            raise Forbidden(f"{scope} {route}")
        return "anna"


class StubPredictor:
    """Notes the calls that it gets and the requests that are rejected."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.rejected: list[tuple[Any, Exception]] = []
        self.senders: list[Sender] = []
        self.in_hand_during: list[int] = []
        self.answers: dict[str, Any] = {}
        self.raises: Exception | None = None
        self.service: Any = None

    async def predict(self, live: Any, call: Any) -> Answer:
        self.calls.append(call)
        self.in_hand_during.append(self.service.in_hand)
        if self.raises is not None:
            raise self.raises
        return Answer(live.arms[0], [], "WEIGHTED", 1.0)._replace(**self.answers)

    def reject(self, live: Any, call: Any, error: Exception) -> None:
        if not call.probe:
            self.rejected.append((live, error))
            self.senders.append(call.sender)


class Front:
    """A service with one route, `r`, and one that cannot be served, `broken`."""

    def __init__(self, live: Any, guard: Guard | None = None) -> None:
        self.holder = LiveTableHolder()
        live.problems["broken"] = "damaged."
        self.holder.current = live
        self.predictor = StubPredictor()
        self.metrics = SimpleNamespace(shed=0)
        self.service = InferenceService(
            self.holder, self.predictor, self.metrics, guard, secret=b"s" * 16, max_in_flight=2, max_instances=5
        )
        self.predictor.service = self.service
        self.live = live.routes["r"]

    def replace_live(self, **changes: Any) -> None:
        """Replace fields of the live route."""
        self.live = replace(self.live, **changes)
        self.holder.current = replace(self.holder.current, routes={"r": self.live})

    def infer(
        self,
        route: str = "r",
        rows: int = 1,
        parameters: dict[str, Any] | None = None,
        time_left_s: float | None = None,
        decode: Any = None,
        probe: bool = False,
        decision_id: str = "d",
        door: str = "",
        **more: Any,
    ) -> Prediction:
        """Send one request, with the headers `more`."""
        headers = {name.replace("_", "-").encode(): value for name, value in more.items()}
        inputs = {"X": np.zeros((rows, 2), np.float32)}
        request = InferenceRequest("id", parameters or {}, inputs, None, rows)
        work = self.service.infer(
            route,
            headers,
            decode or (lambda _: request),
            decision_id=decision_id,
            started_s=STARTED_S,
            read_time_left_s=lambda _: time_left_s,
            probe=probe,
            door=door,
        )
        with pytest.raises(StopIteration) as end:
            work.send(None)  # the stub waits for nothing
        return end.value.value

    def call(self, **more: Any) -> Any:
        """Send one request and return what the predictor got."""
        self.infer(**more)
        return self.predictor.calls[-1]


@pytest.fixture
def front(join_live, signature):
    return lambda guard=None, **spec: Front(join_live({"a": Fake(signature, 1)}, **spec), guard)


def test_decision_ids_are_24_hexadecimal_digits_and_differ():
    ids = {new_decision_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(each) == 24 and int(each, 16) >= 0 for each in ids)


@pytest.mark.parametrize(
    ("given", "after_s"),
    [
        ({}, None),
        ({"x_deadline_ms": b"250"}, 0.25),
        ({"x_deadline_ms": b"0.5"}, 0.0005),
        ({"parameters": {"timeout": 250_000}}, 0.25),
        ({"parameters": {"timeout": "250000"}}, 0.25),
        ({"parameters": {"timeout": 0.5}}, 0.0000005),
        ({"time_left_s": 0.25}, 0.25),
        ({"x_deadline_ms": b"100", "parameters": {"timeout": 250_000}}, 0.1),
        ({"x_deadline_ms": b"300", "parameters": {"timeout": 250_000}}, 0.25),
        ({"x_deadline_ms": b"300", "parameters": {"timeout": 250_000}, "time_left_s": 0.2}, 0.2),
        ({"x_deadline_ms": b"100", "time_left_s": 0.2}, 0.1),
        ({"parameters": {"timeout": 0}, "x_deadline_ms": b"100"}, 0.1),  # in the protocol, 0 means no timeout
        ({"parameters": {"timeout": 0}, "time_left_s": 0.2}, 0.2),
    ],
)
def test_the_least_of_what_the_caller_says_counts(front, given, after_s):
    deadline_s = front().call(**given).deadline_s
    assert deadline_s == (None if after_s is None else pytest.approx(STARTED_S + after_s))


@pytest.mark.parametrize("parameters", [{"timeout": 0}, {"timeout": 0.0}])
def test_a_timeout_of_zero_is_none(front, parameters):
    deadline_s = front().call(parameters=parameters).deadline_s
    assert deadline_s is None or deadline_s >= STARTED_S + 3600


@pytest.mark.parametrize("far", [b"1e30", b"99999999999"])
def test_a_deadline_is_an_hour_at_most(front, far):
    assert front().call(x_deadline_ms=far).deadline_s == STARTED_S + 3600


@pytest.mark.parametrize("value", [b"", b"soon", b"-1", b"0", b"nan", b"1s", b"\xff", b"1,5"])
def test_a_malformed_deadline_header_is_refused(front, value):
    with pytest.raises(BadRequest, match=r"^The header x-deadline-ms \(milliseconds\) must be a positive number\.$"):
        front().call(x_deadline_ms=value)


@pytest.mark.parametrize("value", ["soon", -1, "", "nan", [1], {"ms": 1}, -0.5, "-5", 10**400])
def test_a_malformed_timeout_is_refused(front, value):
    with pytest.raises(BadRequest, match=r"^The parameter timeout \(microseconds\) must be a positive number\.$"):
        front().call(parameters={"timeout": value})


def test_more_instances_than_allowed_are_refused(front):
    assert front().call(rows=5).batch_size == 5
    with pytest.raises(BadRequest, match=r"^6 instances in one request; at most 5 are taken\. If .*batch: none"):
        front().call(rows=6)


def test_a_unit_is_kept_as_a_hash_that_depends_on_the_secret(front):
    one = front(unit="header:x-user").call(x_user=b"anna")
    assert (one.unit, len(one.unit_hash or "")) == ("anna", 32)
    assert front(unit="header:x-user").call(x_user=b"anna").unit_hash == one.unit_hash
    assert front(unit="header:x-user").call(x_user=b"berta").unit_hash != one.unit_hash
    other = front(unit="header:x-user")
    other.service._secret = b"t" * 16
    assert other.call(x_user=b"anna").unit_hash != one.unit_hash
    assert front(unit="header:x-user").call().unit_hash is None


def test_a_route_is_found_or_it_is_said_why_not(front):
    built = front()
    built.infer("r")
    with pytest.raises(UnknownRoute):
        built.infer("nowhere")
    with pytest.raises(NotReady, match="damaged"):
        built.infer("broken")


def test_the_guard_is_asked_first_and_not_about_the_replica_itself(front):
    built = front(Guard())
    for name in ("r", "nowhere"):
        with pytest.raises(Forbidden, match=f"predict {name}"):
            built.infer(name)
    assert built.infer(x_user=b"anna").answer.arm is built.infer(probe=True).answer.arm


def test_a_request_is_decoded_only_for_a_caller_who_may_use_the_route(front):
    decoded: list[Any] = []
    with pytest.raises(Forbidden):
        front(Guard()).infer(decode=decoded.append)
    assert decoded == []


def test_the_signature_of_the_route_is_handed_to_decode(front, signature):
    seen: list[Any] = []

    def decode(given: Any) -> InferenceRequest:
        seen.append(given)
        return InferenceRequest("", {}, {"X": np.zeros((1, 2), np.float32)}, None, 1)

    front().infer(decode=decode)
    assert seen == [signature]


def test_what_is_in_hand_is_counted_whatever_becomes_of_it(front):
    built = front()
    assert built.infer().answer.reason == "WEIGHTED"
    built.predictor.raises = ModelFailed("no")
    with pytest.raises(ModelFailed):
        built.infer()
    assert (built.predictor.in_hand_during, built.service.in_hand) == ([1, 1], 0)


def test_beyond_the_limit_callers_are_told_to_wait(front):
    built = front()
    built.service.in_hand = 1
    built.infer()
    built.service.in_hand = 2
    with pytest.raises(Overloaded, match="2 requests are in flight already"):
        built.infer()
    assert built.metrics.shed == 1
    with pytest.raises(Overloaded):
        built.infer(probe=True)
    assert built.metrics.shed == 1


def raising(error: Exception) -> Any:
    """Return a `decode` that raises the error."""

    def decode(_: Any) -> InferenceRequest:
        raise error

    return decode


@pytest.mark.parametrize("error", [BadRequest("x"), TooLarge("x"), UnknownVersion("x")])
def test_what_is_the_callers_fault_is_recorded(front, error):
    built = front()
    with pytest.raises(type(error)):
        built.infer(decode=raising(error))
    built.predictor.raises = error
    with pytest.raises(type(error)):
        built.infer()
    assert built.predictor.rejected == [(built.live, error)] * 2


@pytest.mark.parametrize("error", [Overloaded("x"), Forbidden("x"), ModelFailed("x"), TooLate("x"), NotReady("x")])
def test_what_is_not_is_not(front, error):
    built = front()
    with pytest.raises(type(error)):
        built.infer(decode=raising(error))
    with pytest.raises(BadRequest):
        built.infer(decode=raising(BadRequest("x")), probe=True)
    with pytest.raises(UnknownRoute):
        built.infer("nowhere", decode=raising(BadRequest("x")))
    assert built.predictor.rejected == []


def test_the_response_names_version_and_decision(front):
    prediction = front().infer()
    assert prediction.response == ("r", "0", "id", {
        "decision_id": "d", "arm": "a", "reason": "WEIGHTED", "propensity": 1.0,
    })  # fmt: skip


DECISION_ID = "b93c5aa7870d203c4698e81d"
CLICK = {"click": {"window": "1h"}}
NOON_US = 1_796_040_000_000_000


def learning(front, metrics: Any = CLICK, **spec: Any) -> tuple[Front, TokenKeys]:
    """Return a service whose route has metrics, and the keys of its tokens."""
    keys = TokenKeys([TokenKey(b"abcd", b"k" * 32)], b"abcd")
    built = front(**({"metrics": metrics} if metrics else {}), **spec)
    built.service._token_keys = SimpleNamespace(current=keys)
    built.replace_live(route=replace(built.live.route, declared_us=17, document_version=5))
    built.predictor.answers = {"recorded": (NOON_US, 1500), "propensity": 0.25}
    return built, keys


def test_a_decision_that_may_get_rewards_has_a_token_of_what_was_recorded(front):
    built, keys = learning(front)
    parameters = built.infer(decision_id=DECISION_ID).response.parameters
    assert list(parameters) == ["decision_id", "arm", "reason", "propensity", "decision_token"]
    assert open_token(parameters["decision_token"], keys, declared({"r": 17})) == Decision(
        DECISION_ID, "r", 17, 5, "a", 0.25, NOON_US, 1500, -1
    )


def test_a_token_names_the_group_of_the_unit_as_the_log_counts_it(front):
    built, keys = learning(front, unit="header:x-user")
    token = built.infer(decision_id=DECISION_ID, x_user=b"anna").response.parameters["decision_token"]
    unit_hash = built.predictor.calls[-1].unit_hash
    assert open_token(token, keys, declared({"r": 17})).group == group_of(unit_hash)


def test_a_token_of_an_arm_that_was_not_drawn_has_no_propensity(front):
    built, keys = learning(front)
    for reason in ("FALLBACK", "FORCED", "PINNED", "HELD_OUT"):
        built.predictor.answers |= {"reason": reason, "propensity": None}
        token = built.infer(decision_id=DECISION_ID).response.parameters["decision_token"]
        assert open_token(token, keys, declared({"r": 17})).propensity is None


def test_where_guardrails_compare_the_rewards_of_a_bandit_a_token_has_the_weights(front):
    built, keys = learning(front)
    assert built.live.sealed_slots is None
    built.replace_live(sealed_slots=lambda _: b"weights")
    token = built.infer(decision_id=DECISION_ID).response.parameters["decision_token"]
    assert open_token(token, keys, declared({"r": 17})).slots == b"weights"


def test_what_is_not_in_the_log_has_no_token(front):
    built, _ = learning(front)
    built.predictor.answers["recorded"] = None  # a probe, or a record that the full disk did not take
    for probe in (True, False):
        assert "decision_token" not in built.infer(decision_id=DECISION_ID, probe=probe).response.parameters


def test_a_route_without_metrics_has_no_tokens(front):
    built, _ = learning(front, metrics=None)
    assert "decision_token" not in built.infer(decision_id=DECISION_ID).response.parameters


def test_new_keys_are_used_from_the_next_decision_on(front):
    built, _ = learning(front)
    other = TokenKeys([TokenKey(b"wxyz", b"o" * 32)], b"wxyz")
    built.service._token_keys.current = other
    token = built.infer(decision_id=DECISION_ID).response.parameters["decision_token"]
    assert open_token(token, other, declared({"r": 17})).decision_id == DECISION_ID


class Asked:
    """A condition that notes its arguments and never holds."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def matches(self, *given: Any) -> bool:
        self.asked.append(given)
        return False


def test_a_routes_condition_is_held_against_the_request(front):
    made = front(unit="header:x-user-id")
    assert made.call(x_user_id=b"u").is_targeted
    target = Asked()
    made.replace_live(targeting=target)
    call = made.call(x_user_id=b"u", parameters={"tier": "gold"})
    assert call.is_targeted is False
    ((headers, parameters, inputs, unit),) = target.asked
    assert (headers, parameters, unit) == ({b"x-user-id": b"u"}, {"tier": "gold"}, "u")
    assert inputs is call.inputs


def test_a_real_condition_decides_who_takes_part(front):
    made = front()
    made.replace_live(targeting=Targeting({"headers.x-country": "se", "parameters.tier": {"$in": ["gold"]}}))
    assert made.call(x_country=b"se", parameters={"tier": "gold"}).is_targeted
    assert not made.call(x_country=b"se").is_targeted
    assert not made.call(x_country=b"no", parameters={"tier": "gold"}).is_targeted


def test_the_log_learns_who_sent_a_request(front):
    sent = front(Guard()).call(x_user=b"anna", x_tags=b"team=risk", door="v1")
    assert sent.sender == Sender("anna", "v1", (("team", "risk"),))
    assert front().call(x_user=b"anna").sender == Sender()
    assert front(Guard()).call(probe=True).sender == Sender()


def test_the_log_learns_who_sent_a_request_that_is_rejected(front):
    guarded = front(Guard())
    with pytest.raises(BadRequest):
        guarded.infer(rows=6, x_user=b"anna", door="grpc")
    assert guarded.predictor.senders == [Sender("anna", "grpc")]
