"""What the door answers in front of FastAPI, described by hand for the OpenAPI page. Decides."""

from collections.abc import Mapping
from typing import Any

from gateway.api.openapi import NAME, Schema, raises
from gateway.errors import ArmDown, NotReady, Overloaded, RateLimited, TooLate
from gateway.protocols.tensor_json import NOT_IN_JSON
from router.errors import UnknownRoute, UnknownVersion
from router.plan import Reason
from runtimes.datatypes import NUMPY_OF
from runtimes.errors import InputRefused, ModelFailed

_REFUSALS = raises(
    UnknownRoute, UnknownVersion, InputRefused, RateLimited, Overloaded, ModelFailed, ArmDown, NotReady, TooLate
)
_BINARY = "application/octet-stream"


def inference_paths() -> dict[str, Schema]:
    """By path, as OpenAPI has it."""
    version = _parameter("path", "version", {"type": "string", "pattern": NAME}, "A version or alias of an arm.")
    return {
        "/v2/models/{route}/infer": {"post": _infer("infer", "Ask a route for a prediction.")},
        "/v2/models/{route}/versions/{version}/infer": {
            "post": _infer("infer_version", "Ask one version or alias of a route; nothing is drawn.", version)
        },
        "/v1/models/{route}:predict": {"post": _predict()},
        "/-/healthz": {"get": _health()},
    }


def _infer(name: str, summary: str, *more: Schema) -> Schema:
    length = _parameter("header", "inference-header-content-length", {"type": "integer", "minimum": 0}, _LENGTH)
    content = {"application/json": {"schema": _ref("InferenceRequest")}, _BINARY: {"schema": _BYTES}}
    answer = {"application/json": {"schema": _ref("InferenceResponse")}, _BINARY: {"schema": _BYTES}}
    headers = {"inference-header-content-length": _header({"type": "integer", "minimum": 1}, _ANSWERED_LENGTH)}
    return {
        "operationId": name,
        "tags": ["Inference"],
        "summary": summary,
        "description": _INFER,
        "parameters": [_ROUTE, *more, *_HEADERS, length],
        "requestBody": {"required": True, "content": content},
        "responses": _responses(answer, headers),
    }


def _predict() -> Schema:
    return {
        "operationId": "predict",
        "tags": ["Inference"],
        "summary": "Ask a route for predictions, as KServe's V1 has it.",
        "description": _PREDICT,
        "parameters": [_ROUTE, *_HEADERS],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("PredictRequest")}}},
        "responses": _responses({"application/json": {"schema": _ref("PredictResponse")}}, {}),
    }


def _health() -> Schema:
    def said(word: str, description: str) -> Schema:
        return {"description": description, "content": {"text/plain": {"schema": {"type": "string", "const": word}}}}

    return {
        "operationId": "healthz",
        "tags": ["Health"],
        "summary": "Whether the replica takes requests.",
        "description": "For the probes of Kubernetes. `/v2/health/ready` says more.",
        "responses": {
            "200": said("success", "It does."),
            "503": said("draining", "It is about to end, and answers only what it has in hand."),
        },
    }


def _responses(content: Schema, headers: Mapping[str, Schema]) -> Schema:
    answered = {"description": "The prediction.", "headers": {**_ANSWER_HEADERS, **headers}, "content": content}
    refused = {str(status): _with_decision(response) for status, response in _REFUSALS.items()}
    return {"200": answered, **refused}


def _with_decision(response: Schema) -> Schema:
    return {**response, "headers": {**response["headers"], "x-decision-id": _decision_id(required=False)}}


def _parameter(place: str, name: str, schema: Schema, description: str) -> Schema:
    required = {"required": True} if place == "path" else {}
    return {"name": name, "in": place, **required, "schema": schema, "description": description}


def _header(schema: Schema, description: str, *, required: bool = False) -> Schema:
    return {"description": description, "required": required, "schema": schema}


def _decision_id(*, required: bool) -> Schema:
    return _header({"type": "string", "pattern": "^[0-9a-f]{24}$"}, "The decision's name.", required=required)


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(description: str, required: list[str], /, **properties: Any) -> Schema:
    return {"type": "object", "description": description, "required": required, "properties": properties}


def _array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


_LENGTH = (
    "Length of the JSON at the body's beginning, behind which the bytes of the tensors follow that have a "
    "`binary_data_size`. With 0 the body is nothing but the bytes of the one input."
)
_ANSWERED_LENGTH = "Length of the JSON before the binary tensors; there exactly when there are any."
_INFER = (
    "The route decides which of its arms answers. Tensors travel as JSON or, as the extension `binary_tensor_data` "
    "has it, as bytes behind the JSON. The unit comes from where the route's document says: a header or a parameter."
)
_PREDICT = (
    "`instances` are rows: lists, or objects by the names of the inputs or of the one input's columns. "
    "`inputs` is the same, or an object of columns. Send one of the two."
)
_BYTES: Schema = {"type": "string", "format": "binary", "contentMediaType": _BINARY}
_STRING: Schema = {"type": "string"}
_DATATYPE: Schema = {"type": "string", "enum": list(NUMPY_OF)}
_SHAPE = _array({"type": "integer", "minimum": 0})
_ROUTE = _parameter("path", "route", {"type": "string", "pattern": NAME}, "The route.")
_HEADERS = [
    _parameter("header", "x-deadline-ms", {"type": "number", "exclusiveMinimum": 0}, "Later, no answer is wanted."),
    _parameter("header", "x-force-arm", {"type": "string", "pattern": NAME}, "The arm to ask; nothing is drawn."),
    _parameter(
        "header", "traceparent", {"type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
        "The caller's trace (W3C), which the log and the spans continue.",
    ),
    _parameter("header", "content-encoding", {"enum": ["gzip", "deflate", "identity"]}, "Of the body."),
    _parameter("header", "accept-encoding", _STRING, "Large answers come as gzip or deflate."),
]  # fmt: skip
_ANSWER_HEADERS = {
    "x-decision-id": _decision_id(required=True),
    "x-arm": _header({"type": "string", "pattern": NAME}, "The arm that answered.", required=True),
    "x-model-version": _header({"type": "string", "pattern": NAME}, "The version behind it.", required=True),
    "x-reason": _header({"type": "string", "enum": list(Reason)}, "Why this arm.", required=True),
    "x-propensity": _header(
        {"type": "number", "minimum": 0, "maximum": 1},
        "The probability with which it was drawn; missing where nothing was.",
    ),
    "content-encoding": _header({"type": "string", "enum": ["gzip", "deflate"]}, "If the answer is compressed."),
}
_SCALARS: Schema = {
    "type": "object",
    "description": "Names and plain values.",
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}
_DATA: Schema = {
    "type": "array",
    "description": f"The elements, row by row, flat or nested. {' and '.join(NOT_IN_JSON)} have none in JSON.",
    "items": {},
}

INFERENCE_SCHEMAS: dict[str, Schema] = {
    "Parameters": _SCALARS,
    "RequestInput": _object(
        "An input: with `data`, or with the parameter `binary_data_size` and its bytes behind the JSON.",
        ["name", "shape", "datatype"],
        name=_STRING, shape=_SHAPE, datatype=_DATATYPE, data=_DATA, parameters=_ref("Parameters"),
    ),
    "RequestOutput": _object(
        "An output that is wanted. Parameters: `binary_data` (bytes instead of JSON), `classification` (the best n).",
        ["name"],
        name=_STRING, parameters=_ref("Parameters"),
    ),
    "InferenceRequest": _object(
        "A request. Parameters: `binary_data_output`, `timeout` (microseconds), and what a route reads its unit from.",
        ["inputs"],
        id=_STRING,
        parameters=_ref("Parameters"),
        inputs=_array(_ref("RequestInput")),
        outputs=_array(_ref("RequestOutput")),
    ),
    "ResponseOutput": _object(
        "An output. NaN and infinities are null; the parameter `non_finite` says what they were.",
        ["name", "shape", "datatype"],
        name=_STRING, shape=_SHAPE, datatype=_DATATYPE, data=_DATA, parameters=_ref("Parameters"),
    ),
    "Decision": {
        **_object(
            "The decision, as the answer's headers have it.",
            ["decision_id", "arm", "reason"],
            decision_id=_STRING,
            arm=_STRING,
            reason={"type": "string", "enum": list(Reason)},
            propensity={"type": "number", "minimum": 0, "maximum": 1},
        ),
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    },
    "InferenceResponse": _object(
        "An answer. `model_name` is the route, `model_version` the version behind the arm.",
        ["model_name", "model_version", "id", "parameters", "outputs"],
        model_name=_STRING,
        model_version=_STRING,
        id=_STRING,
        parameters=_ref("Decision"),
        outputs=_array(_ref("ResponseOutput")),
    ),
    "PredictRequest": {
        **_object(
            "Rows, or columns.", [],
            instances=_array({}), inputs={"type": ["array", "object"]}, parameters=_ref("Parameters"),
        ),
        "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    },
    "PredictResponse": _object(
        "One prediction per row: the one output's value, or an object of outputs by name.",
        ["predictions"],
        predictions=_array({}),
    ),
}  # fmt: skip
