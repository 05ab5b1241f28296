"""The OpenAPI description of the operations that the HTTP endpoint serves itself.

FastAPI does not know these operations. `openapi_inference.yaml` describes them; only their error responses come from
the table of errors.
"""

from importlib.resources import files

import yaml

from gateway.api.error_responses import Schema, raises
from gateway.errors import ArmDown, NotReady, Overloaded, RateLimited, TooLate, UnsupportedContent
from gateway.protocols.paths import INVOCATIONS, is_prediction
from router.errors import Quarantined, UnknownRoute, UnknownVersion
from runtimes.errors import InputRefused, ModelFailed

_DECISION_ID = "x-decision-id"


def inference_page() -> Schema:
    """Read the YAML file, and add the error responses of predictions: an OpenAPI document with paths and schemas."""
    text = files("gateway.api").joinpath("openapi_inference.yaml").read_text(encoding="utf-8")
    page: Schema = yaml.safe_load(text)
    for path, operations in page["paths"].items():
        if is_prediction(path):
            responses = operations["post"]["responses"]
            more = (UnsupportedContent,) if path == INVOCATIONS else ()
            errors = _errors(responses["200"]["headers"][_DECISION_ID], *more)
            operations["post"]["responses"] = {**responses, **errors}
    return page


def _errors(decision_id: Schema, *more: type[Exception]) -> dict[str, Schema]:
    """Return the error responses of a prediction. The header is optional: a fault of the gateway has no decision."""
    errors = raises(
        UnknownRoute, UnknownVersion, Quarantined, InputRefused, RateLimited, Overloaded, ModelFailed, ArmDown,
        NotReady, TooLate, *more,
    )  # fmt: skip
    header = {_DECISION_ID: {**decision_id, "required": False}}
    return {str(status): {**error, "headers": {**error["headers"], **header}} for status, error in errors.items()}
