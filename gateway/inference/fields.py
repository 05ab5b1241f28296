"""What a prediction takes from a request's headers and parameters, and what its response says beside the tensors."""

from gateway.inference.call import Answer, Call
from gateway.inference.decision_token import Decision, seal
from gateway.inference.live_table import LiveRoute
from gateway.inference.token_keys import TokenKeys
from gateway.protocols.request import Headers, InferenceRequest, Parameters, ResponseMeta
from router.draw.unit_text import unit_text
from router.evidence.sums import group_of
from router.rewards.sums import NO_GROUP
from router.snapshot import Route

TOKEN_PARAMETER = "decision_token"  # noqa: S105  # a name
"""The parameter of a response that holds the decision's token."""


def response_meta(
    route: str, request: InferenceRequest, decision_id: str, answer: Answer, token: str | None = None
) -> ResponseMeta:
    """Return what every edge puts beside the tensors: the version that answered, and the decision."""
    arm = answer.arm.arm
    parameters: Parameters = {"decision_id": decision_id, "arm": arm.name, "reason": answer.reason}
    if answer.propensity is not None:
        parameters["propensity"] = answer.propensity
    if token is not None:
        parameters[TOKEN_PARAMETER] = token
    return ResponseMeta(route, arm.version, request.id or decision_id, parameters)


def token_of(live: LiveRoute, call: Call, answer: Answer, keys: TokenKeys) -> str | None:
    """Return the token of a decision, with which its rewards come. One that is not in the log gets none."""
    if answer.recorded is None:
        return None
    route, (decided_us, latency_us) = live.route, answer.recorded
    decision = Decision(
        call.decision_id,
        route.name,
        route.declared_us,
        route.document_version,
        answer.arm.arm.name,
        answer.propensity,
        decided_us,
        latency_us,
        NO_GROUP if call.unit_hash is None else group_of(call.unit_hash),
        b"" if call.weighed is None else call.weighed.vector,
        b"" if live.sealed_slots is None else live.sealed_slots(call.weighed),
    )
    return seal(decision, keys)


def unit_of(route: Route, headers: Headers, request: InferenceRequest) -> str | None:
    """Return the unit that a request names for a route: by a header, or by a parameter. An empty one is none."""
    if route.unit_header is not None:
        return text_of(headers.get(route.unit_header))
    if route.unit_parameter is not None:
        return unit_text(request.parameters.get(route.unit_parameter))
    return None


def text_of(value: bytes | None) -> str | None:
    """Return a header's value as text; None if it is missing or empty."""
    return value.decode("utf-8", "replace") if value else None
