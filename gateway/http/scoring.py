"""MLflow's `/invocations` and SageMaker's `/endpoints/ROUTE/invocations`: headers, and errors for their clients.

SageMaker's clients tell errors apart by the header `x-amzn-errortype`. What the model's container would refuse is a
ModelError there, with status 424 and the container's own status in the body.
"""

import orjson

from gateway.errors import (
    ArmDown,
    BadRequest,
    CrossOrigin,
    Forbidden,
    NotReady,
    Overloaded,
    RateLimited,
    TooLarge,
    TooLate,
    Unauthenticated,
    UnsupportedContent,
    advice_of,
    status_of,
)
from gateway.http.response import Response, refusal, response_of
from gateway.inference.service import InferenceService, Prediction
from gateway.protocols.paths import PredictionPath, is_of_sagemaker, parse_path
from gateway.protocols.request import Header, Headers, InferenceRequest
from gateway.protocols.scoring_answers import accepted_type, encode
from gateway.protocols.scoring_http import decode
from registry_sync.errors import RegistryUnavailable
from router.errors import Quarantined, Rejected, UnknownRoute, UnknownVersion
from runtimes.errors import InputRefused, ModelFailed, StillLoading
from runtimes.manifest import Signature
from store.errors import StoreUnavailable

_VARIANT = b"x-amzn-sagemaker-target-variant"
_MODEL = b"x-amzn-sagemaker-target-model"
_INFERENCE_ID = b"x-amzn-sagemaker-inference-id"
_ROUTE = b"x-route"
_SIGNED = b"AWS4-"
"""The beginning of the signatures that AWS's clients send. They mean nothing here."""

_MODEL_ERROR, _VALIDATION = ("ModelError", 424), ("ValidationError", 400)
_UNAVAILABLE, _DENIED = ("ServiceUnavailable", 503), ("AccessDeniedException", 403)
_SAGEMAKER_OF: dict[type[Exception], tuple[str, int]] = {
    BadRequest: _MODEL_ERROR,
    UnsupportedContent: _MODEL_ERROR,
    InputRefused: _MODEL_ERROR,
    ModelFailed: _MODEL_ERROR,
    TooLate: _MODEL_ERROR,
    UnknownRoute: _VALIDATION,
    UnknownVersion: _VALIDATION,
    Quarantined: _VALIDATION,
    Rejected: _VALIDATION,
    TooLarge: ("ValidationError", 413),
    Unauthenticated: _DENIED,
    Forbidden: _DENIED,
    CrossOrigin: _DENIED,
    RateLimited: ("ThrottlingException", 429),
    Overloaded: ("ThrottlingException", 429),
    NotReady: ("ModelNotReadyException", 429),
    StillLoading: ("ModelNotReadyException", 429),
    ArmDown: _UNAVAILABLE,
    StoreUnavailable: _UNAVAILABLE,
    RegistryUnavailable: _UNAVAILABLE,
}
_INTERNAL = ("InternalFailure", 500)


class Targets:
    """Finds out what a request asks for. `default` is the route of `/invocations`, if one is set."""

    def __init__(self, service: InferenceService, default: str = "") -> None:
        self._service = service
        self._default = default

    def find(self, path: str, headers: Headers) -> tuple[PredictionPath, Headers]:
        """Return what a path names, and the headers as the gateway's own clients would have sent them.

        Raises:
            UnknownRoute: the path does not have the form of its protocol.
            BadRequest: the request names no route, and there is not just one.
            Unauthenticated, Forbidden: it names no route, and the caller may use none.
        """
        target = parse_path(path)
        if not target.is_scoring:
            return target, headers
        headers = _translated(headers)
        model = headers.get(_MODEL, b"").decode("utf-8", "replace")
        if target.protocol == "sagemaker":
            if model not in ("", target.route):
                raise BadRequest("An endpoint is a route here, which has no target models; leave TargetModel out.")
            return target, headers
        route = headers.get(_ROUTE, b"").decode("utf-8", "replace") or model or self._default
        found = route or self._service.only_route(headers)
        if not found:
            raise BadRequest(
                "/invocations names no route. Send the header x-route (or X-Amzn-SageMaker-Target-Model), post to "
                "/endpoints/ROUTE/invocations, or set POINTSMAN_INVOCATIONS_ROUTE. With exactly one route, "
                "none of it is needed."
            )
        return target._replace(route=found), headers


def _translated(headers: Headers) -> Headers:
    """Return the headers with SageMaker's variant as the arm that must answer, and without AWS's signature."""
    variant, signature = headers.get(_VARIANT), headers.get(b"authorization", b"")
    if variant is None and not signature.startswith(_SIGNED):
        return headers
    changed = dict(headers)
    if variant is not None:
        changed[b"x-force-arm"] = variant
    if signature.startswith(_SIGNED):
        del changed[b"authorization"]
    return changed


def decode_scoring(
    target: PredictionPath, headers: Headers, body: bytes | memoryview, signature: Signature
) -> InferenceRequest:
    """Return the request that a body holds. Raises what `gateway.protocols.scoring_http.decode` raises."""
    is_sagemaker = target.protocol == "sagemaker"
    kind = headers.get(b"content-type")
    if is_sagemaker and kind == b"application/octet-stream":  # boto3's default
        kind = None
    request = decode(body, kind, signature, takes_lists=is_sagemaker)
    inference_id = headers.get(_INFERENCE_ID)
    return request if inference_id is None else request._replace(id=inference_id.decode("utf-8", "replace"))


def encode_scoring(
    target: PredictionPath, request_headers: Headers, prediction: Prediction, headers: list[Header]
) -> tuple[bytes, Header]:
    """Return the content of a response and its type. Add to `headers` what SageMaker's clients look for."""
    request, answer, meta = prediction
    arm = answer.arm
    kind = accepted_type(request_headers.get(b"accept"))
    if target.protocol == "sagemaker":
        headers.append((b"x-amzn-invoked-production-variant", arm.arm.name.encode()))
    content = encode(kind, meta, request, arm.signature, answer.tensors, by_name=arm.answers_by_name)
    return content, (b"content-type", kind.encode())


def refusal_at(path: str, error: Exception, decision_id: str) -> Response:
    """Return the response to an error of a request to this path."""
    return _sagemakers(error, decision_id) if is_of_sagemaker(path) else refusal(error, decision_id)


def _sagemakers(error: Exception, decision_id: str) -> Response:
    sentence = str(error).encode("utf-8", "replace").decode()  # it may quote lone surrogates
    kind, status = _SAGEMAKER_OF.get(type(error), _INTERNAL)
    body: dict[str, object] = {"Message": sentence, "error": sentence, "ErrorCode": type(error).__name__}
    if kind == "ModelError":
        body |= {"OriginalMessage": sentence, "OriginalStatusCode": status_of(error).http, "LogStreamArn": ""}
    extra = [(b"x-decision-id", decision_id.encode()), *advice_of(error), (b"x-amzn-errortype", kind.encode())]
    return response_of(status, orjson.dumps(body), extra)
