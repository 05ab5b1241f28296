"""What operators ask over HTTP: read and change documents, see what every replica has applied. Acts on the store.

Every change is: read the document, apply the pure command, check that its versions load here, compare-and-set. The
handlers block and therefore run in FastAPI's thread pool, never on the request path.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from pydantic import AfterValidator, BaseModel, Field, StrictFloat, StrictInt, StrictStr

from control.errors import Conflict, StoreUnavailable
from control.store import Change, Entry, Report, Store
from gateway.answers import Changed, Described, HeldVersion, ReplicaStatus, RouteSpec, RouteStatus, Status
from gateway.arms import bind
from gateway.errors import BadRequest, PreconditionMissing
from gateway.openapi import RouteName, raises
from registry_sync.catalogue import Catalogue
from registry_sync.errors import RegistryUnavailable, UnknownModel
from router.commands import Command, Declare, Shift, apply
from router.document import Document, parse_spec, spec_to_dict
from router.errors import Corrupt, Rejected, UnknownRoute
from router.quantities import parse_percent
from runtimes.errors import ModelRefused

FRESH_S = 5.0
"""A replica that has not reported for so long is taken for gone."""
FORGOTTEN_S = 60.0
"""And after so long it is not shown any more."""

_RETRIES = 5
_MAX_VERSION_DIGITS = 18

_READ = (Corrupt, StoreUnavailable)
_BIND = (Rejected, UnknownModel, ModelRefused, RegistryUnavailable)
_ETAG: dict[str, Any] = {
    "headers": {"etag": {"description": "The document's version.", "required": True, "schema": {"type": "string"}}}
}

Who = Annotated[str, Header(alias="x-operator", description="Who asks; kept in the history.")]


def _writable(text: str) -> str:
    """JSON can name lone surrogates, which are no text: neither the store nor an answer can hold them."""
    return text.encode("utf-8", "replace").decode()


class ShiftBody(BaseModel):
    """`{"weights": {"canary": "20%"}}`: percent, the sign being optional."""

    weights: Mapping[str, StrictInt | StrictFloat | StrictStr] = Field(min_length=1)
    why: Annotated[str, AfterValidator(_writable)] = ""


def operate_router(store: Store, catalogue: Catalogue) -> APIRouter:  # noqa: C901  # a list of handlers, each simple
    """Everything below `/api`."""
    router = APIRouter(prefix="/api", tags=["Operate"])

    @router.get("/routes", responses=raises(*_READ))
    def list_routes() -> list[Described]:
        """Every declared route."""
        return [Described(**_described(document)) for _, document in sorted(store.documents().items())]

    @router.get("/routes/{route}", responses={200: _ETAG, **raises(UnknownRoute, *_READ)})
    def get_route(route: RouteName, response: Response) -> Changed:
        """One route's document; its version is the ETag."""
        entry = _existing(store, route)
        response.headers["etag"] = _etag(entry.document)
        return _with_change(entry)

    @router.put("/routes/{route}", responses={200: _ETAG, **raises(Conflict, PreconditionMissing, *_BIND, *_READ)})
    def put_route(
        route: RouteName,
        spec: RouteSpec,
        response: Response,
        if_match: Annotated[str | None, Header()] = None,
        if_none_match: Annotated[str | None, Header()] = None,
        who: Who = "unknown",
        why: str = "",
    ) -> Changed:
        """Declares a route. If-Match names the version that is replaced; If-None-Match: * says it must be new."""
        declared = parse_spec({"route": route, **spec})
        if declared.route != route:
            raise Rejected(f"The path names route {route}, the document route {declared.route}.")
        entry = store.read(route)
        expected, current = _expected(if_match, if_none_match), entry.document.version if entry else 0
        if expected != current:
            raise Conflict(route, expected, current)
        entry = _change(store, catalogue, entry, Declare(declared), who, "apply", why)
        response.headers["etag"] = _etag(entry.document)
        return _with_change(entry)

    @router.post("/routes/{route}/shift", responses={200: _ETAG, **raises(UnknownRoute, Rejected, Conflict, *_READ)})
    def shift(route: RouteName, body: ShiftBody, response: Response, who: Who = "unknown") -> Changed:
        """Gives arms weights; what is left goes to the arms not named, in proportion."""
        weights = {arm: parse_percent(share, f"The weight of arm {arm}") for arm, share in body.weights.items()}
        what = "shift " + " ".join(f"{arm}={share}" for arm, share in body.weights.items())
        for attempt in range(_RETRIES):
            try:
                entry = _change(store, catalogue, _existing(store, route), Shift(weights), who, what, body.why)
                break
            except Conflict:  # somebody was quicker: the same command, on what is there now
                if attempt == _RETRIES - 1:
                    raise
        response.headers["etag"] = _etag(entry.document)
        return _with_change(entry)

    @router.get("/routes/{route}/history", responses=raises(UnknownRoute, *_READ))
    def history(route: RouteName, limit: int = 20) -> list[Changed]:
        """The newest versions first: who, when, what, why."""
        _existing(store, route)
        return [_with_change(entry) for entry in store.history(route, max(1, min(limit, 1000)))]

    @router.get("/status", responses=raises(*_READ))
    def status() -> Status:
        """What is wanted, and what each replica serves."""
        return _status(store.documents(), store.reports(), time.time())

    @router.get("/models")
    def list_versions() -> list[HeldVersion]:
        """The versions that the replica which answers holds."""
        return [
            HeldVersion(
                model=version.key.model,
                version=version.key.version,
                digest=version.key.digest,
                state=version.state.value,
                reason=version.reason,
            )
            for version in catalogue.versions()
        ]

    return router


def _change(
    store: Store, catalogue: Catalogue, entry: Entry | None, command: Command, who: str, what: str, why: str
) -> Entry:
    document = apply(entry.document if entry else None, command)
    if isinstance(command, Declare):
        bind(catalogue, document.spec, retry=True)
    written = Entry(document, Change(who=who, at_s=time.time(), what=what, why=why))
    store.compare_and_set(document, written.change)
    return written


def _existing(store: Store, route: str) -> Entry:
    entry = store.read(route)
    if entry is None:
        raise UnknownRoute(f"There is no route {route!r}; there are {', '.join(sorted(store.documents())) or 'none'}.")
    return entry


def _expected(if_match: str | None, if_none_match: str | None) -> int:
    """The version that the caller has seen; 0 for none."""
    if if_match is None and if_none_match == "*":
        return 0
    if if_match is None:
        raise PreconditionMissing(
            'Say which version you are replacing with If-Match: "VERSION" (GET shows it as ETag), '
            "or that the route is new with If-None-Match: *."
        )
    version = if_match.strip().strip('"')
    if not (version.isascii() and version.isdigit() and len(version) <= _MAX_VERSION_DIGITS):
        raise BadRequest(f'If-Match is {if_match}; it must be a version such as "3".')
    return int(version)


def _etag(document: Document) -> str:
    return f'"{document.version}"'


def _described(document: Document) -> dict[str, Any]:
    return {"route": document.spec.route, "version": document.version, "spec": spec_to_dict(document.spec)}


def _with_change(entry: Entry) -> Changed:
    change = entry.change
    return Changed(**_described(entry.document), who=change.who, at_s=change.at_s, what=change.what, why=change.why)


def _status(documents: Mapping[str, Document], reports: Sequence[Report], now_s: float) -> Status:
    reports = [report for report in reports if now_s - report.at_s < FORGOTTEN_S]
    live = [report for report in reports if now_s - report.at_s < FRESH_S]
    routes = [
        RouteStatus(
            **_described(document),
            applied={report.replica: report.routes.get(name) for report in live},
            converged=bool(live) and all(report.routes.get(name) == document.version for report in live),
        )
        for name, document in sorted(documents.items())
    ]
    replicas = [
        ReplicaStatus(
            replica=report.replica,
            pid=report.pid,
            state="LIVE" if report in live else "GONE",
            age_s=round(now_s - report.at_s, 3),
            up_s=round(report.at_s - report.started_s, 1),
            snapshot=report.snapshot_hash,
            routes=dict(report.routes),
            problems=dict(report.problems),
        )
        for report in reports
    ]
    return Status(routes=routes, replicas=replicas)
