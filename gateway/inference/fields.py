"""What a prediction takes from a request's headers and parameters, and what its response says beside the tensors."""

from gateway.inference.call import Answer
from gateway.protocols.request import Headers, InferenceRequest, Parameters, ResponseMeta
from router.draw.unit_text import unit_text
from router.snapshot import Route


def response_meta(route: str, request: InferenceRequest, decision_id: str, answer: Answer) -> ResponseMeta:
    """Return what every edge puts beside the tensors: the version that answered, and the decision."""
    arm = answer.arm.arm
    parameters: Parameters = {"decision_id": decision_id, "arm": arm.name, "reason": answer.reason}
    if answer.propensity is not None:
        parameters["propensity"] = answer.propensity
    return ResponseMeta(route, arm.version, request.id or decision_id, parameters)


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
