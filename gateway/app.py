"""The product's table of contents: what is served where, and what each error class answers."""

from collections.abc import Callable

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from control.store import Store
from gateway.describe import SERVER_VERSION, describe_router
from gateway.errors import ERROR_HEADER, STATUS_OF, status_of
from gateway.live import LiveHolder
from gateway.metrics import CONTENT_TYPE
from gateway.operate import operate_router
from gateway.protocols.v2_http import encode_error
from registry_sync.catalogue import Catalogue


def create_app(holder: LiveHolder, store: Store, catalogue: Catalogue, render_metrics: Callable[[], bytes]) -> FastAPI:
    """Everything but inference, which `gateway.door` answers before it gets here."""
    app = FastAPI(title="Pointsman", version=SERVER_VERSION)
    app.include_router(describe_router(holder))
    app.include_router(operate_router(store, catalogue))

    @app.get("/metrics")
    def metrics() -> Response:
        """All replicas of this machine, for Prometheus."""
        return Response(render_metrics(), media_type=CONTENT_TYPE)

    for error_class in STATUS_OF:
        app.add_exception_handler(error_class, _say)
    app.add_exception_handler(HTTPException, _say_http)
    app.add_exception_handler(RequestValidationError, _say_invalid)
    return app


async def _say(_: Request, error: Exception) -> Response:
    return _error(status_of(error), str(error), {ERROR_HEADER: type(error).__name__})


async def _say_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    sentence = {
        404: f"There is nothing at {request.url.path}; /docs lists what there is.",
        405: f"{request.url.path} does not take {request.method}; /docs lists what it takes.",
    }.get(status, str(error))
    return _error(status, sentence, {ERROR_HEADER: "NotFound" if status == 404 else type(error).__name__, **headers})


async def _say_invalid(_: Request, error: Exception) -> Response:
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    said = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
    return _error(400, f"The request is not valid: {said}.", {ERROR_HEADER: "BadRequest"})


def _error(status: int, sentence: str, headers: dict[str, str]) -> Response:
    return Response(encode_error(sentence), status, headers, media_type="application/json")
