"""The FastAPI application: its handlers, and the response for each error class."""

from collections.abc import Callable

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from gateway.api.error_responses import NOT_FOUND
from gateway.api.metadata import metadata_router
from gateway.api.openapi import install, operation_id
from gateway.api.openapi_inference import inference_page
from gateway.errors import ERROR_HEADER, STATUS_OF, BadRequest, WrongMethod, advice_of, status_of
from gateway.http.body import BodyLimit
from gateway.inference.metadata import SERVER_VERSION, Metadata
from gateway.protocols.v2_http import encode_error
from gateway.telemetry.render import CONTENT_TYPE

_MAX_BODY_BYTES = 4 * 1024 * 1024  # documents are small; predictions have a limit of their own
_ERROR_NAMES = {400: BadRequest.__name__, 404: NOT_FOUND, 405: WrongMethod.__name__}


def create_app(
    metadata: Metadata, operators: APIRouter, rewards: APIRouter, render_metrics: Callable[[], bytes]
) -> FastAPI:
    """Build the application of everything but predictions, which `gateway.http.endpoint` serves before it."""
    app = FastAPIOffline(  # serves the scripts of /docs itself, because a closed cluster has no access to a CDN
        title="Pointsman",
        version=SERVER_VERSION,
        redoc_url=None,
        redirect_slashes=False,
        static_url="/docs/static",
        generate_unique_id_function=operation_id,
    )
    app.include_router(metadata_router(metadata))
    app.include_router(operators)
    app.include_router(rewards)

    @app.get("/metrics", tags=["Metrics"], response_class=PlainTextResponse)
    def metrics() -> Response:
        """Return the metrics of all replicas of this machine, for Prometheus."""
        return Response(render_metrics(), media_type=CONTENT_TYPE)

    install(app, inference_page)
    app.add_middleware(BodyLimit, max_bytes=_MAX_BODY_BYTES)
    for error_class in STATUS_OF:
        app.add_exception_handler(error_class, _on_known_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(Exception, _on_fault)
    return app


async def _on_known_error(_: Request, error: Exception) -> Response:
    advice = {name.decode(): value.decode() for name, value in advice_of(error)}
    return _error(status_of(error).http, str(error), advice)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    sentence = {
        400: "The body cannot be read as JSON.",
        404: f"There is nothing at {request.url.path}; /docs lists what there is.",
        405: f"{request.url.path} does not take {request.method}; /docs lists what it takes.",
    }.get(status, str(error))
    return _error(status, sentence, {ERROR_HEADER: _ERROR_NAMES.get(status, type(error).__name__), **headers})


async def _on_invalid_request(_: Request, error: Exception) -> Response:
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    sentence = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
    return _error(400, f"The request is not valid: {sentence}.", {ERROR_HEADER: BadRequest.__name__})


async def _on_fault(_: Request, __: Exception) -> Response:
    """Return the response for a fault of ours. Starlette raises the error again after this, and so it is logged."""
    return _error(500, "The gateway failed; its log says why.", {})


def _error(status: int, sentence: str, headers: dict[str, str]) -> Response:
    return Response(encode_error(sentence), status, headers, media_type="application/json")
