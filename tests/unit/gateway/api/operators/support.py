"""The operators' API of a gateway alone: a store in a file, a registry and the application, without predictions."""

import asyncio
import functools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, NamedTuple

import httpx
from fastapi import APIRouter, FastAPI

from gateway.api.app import create_app
from gateway.api.operators.commands import command_router
from gateway.api.operators.overview import overview_router
from gateway.api.operators.router import operate_router
from gateway.api.operators.routes import route_router
from gateway.api.operators.status_reader import StatusReader
from gateway.api.operators.versions import VersionReader
from gateway.api.rewards import rewards_router
from gateway.control.changes import Changes
from gateway.control.desired_state import DesiredState
from gateway.control.replica_view import ReplicaView
from gateway.execution.process.model import ProcessOptions
from gateway.execution.trial import Trials
from gateway.inference.live_table import LiveTableHolder
from registry_sync.catalogue import Catalogue
from registry_sync.registries.directory import DirectoryRegistry
from router.evidence.sums import SumKey
from runtimes.load_options import LoadOptions
from store.errors import StoreUnavailable
from store.report import Report
from store.sqlite.store import SQLiteStore

SPLIT: dict[str, Any] = {"arms": {"a": "linear:1", "b": "linear:2"}, "split": {"a": "75%", "b": "25%"}}
ROLLOUT: dict[str, Any] = {
    "arms": {"stable": "linear@champion", "canary": "linear@challenger"},
    "rollout": {"of": "canary", "steps": ["5%", "25%", "100%"], "every": "10m"},
    "guardrails": [{"errors": {"worse_by": "1%"}}],
    "shadow": [{"arm": "linear:2", "sample": "20%"}],
}


def bare_app() -> FastAPI:
    """Build the application with nothing behind its handlers. Its OpenAPI page needs no more."""
    nothing: Any = None
    operate = operate_router(
        store=nothing, catalogue=nothing, changes=nothing, desired=nothing, view=nothing, trials=nothing
    )
    return create_app(nothing, operate, rewards_router(nothing), bytes)


class Shut:
    """A store that stops answering while `is_away` is true."""

    def __init__(self, store: SQLiteStore) -> None:
        self._store = store
        self.is_away = False

    def __getattr__(self, name: str) -> Any:
        if self.is_away:
            raise StoreUnavailable("The store does not answer.")
        return getattr(self._store, name)


class _Parts(NamedTuple):
    """What is behind the handlers of the operators' API."""

    store: Shut
    catalogue: Catalogue
    changes: Changes
    desired: DesiredState
    view: ReplicaView
    versions: VersionReader
    status: StatusReader


class _Current:
    """Stands for a part of the gateway that is asked at the moment."""

    parts: ClassVar[_Parts]

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(getattr(_Current.parts, self._name), attribute)


@functools.cache
def _app() -> FastAPI:
    """Return one application for all gateways of the tests: FastAPI takes 0.2 s to build it."""
    now: Any = _Parts(*map(_Current, _Parts._fields))
    operate = APIRouter(prefix="/api")
    operate.include_router(route_router(now.store, now.changes))
    operate.include_router(command_router(now.changes, now.catalogue, now.view))
    operate.include_router(overview_router(now.store, now.versions, now.desired, now.status))
    nothing: Any = None
    return create_app(nothing, operate, rewards_router(nothing), bytes)


class Operated:
    """The operators' API of one replica, called over HTTP without a socket."""

    def __init__(self, registry: Path, path: Path) -> None:
        self.path = path
        self.store = Shut(SQLiteStore(path))
        self.wanted = DesiredState(self.store, None)
        self.store_contact_s = time.monotonic()
        view = ReplicaView(self.wanted, LiveTableHolder(), self)
        catalogue = Catalogue(DirectoryRegistry(registry), LoadOptions())
        self.changes = Changes(self.store, catalogue, "here", view)
        trials = Trials(path.parent, ProcessOptions(str(registry), LoadOptions()))
        self._parts = _Parts(
            store=self.store,
            catalogue=catalogue,
            changes=self.changes,
            desired=self.wanted,
            view=view,
            versions=VersionReader(catalogue, trials, view),
            status=StatusReader(store=self.store, catalogue=catalogue, view=view),
        )
        self.app: Any = _app()

    def __enter__(self) -> "Operated":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.store.is_away = False
        self.store.close()

    def report(self, **more: Any) -> Report:
        """Return the report of a replica that serves the documents it has read last."""
        routes = {route: document.version for route, document in self.wanted.documents.items()}
        report = Report("here", 4711, time.time(), time.time() - 60, "0123456789abcdef", routes)
        return replace(report, **more)

    def look(self) -> None:
        """Read what is new, and write a report, as a replica does several times a second."""
        self.wanted.look()
        self.store.report(self.report())

    def replace_store(self) -> None:
        """Replace the store by an empty one."""
        self.store.close()
        self.path = self.path.with_name(f"{self.path.name}.new")
        self.store._store = SQLiteStore(self.path)

    def count(
        self, route: str, counted: Mapping[tuple[str, str], int], *, version: str = "2", against: str = ""
    ) -> None:
        """Add sums, by arm and name, to the newest version of a route."""
        policy_version = self.store.read(route).document.version
        bucket_s = int(time.time()) // 10 * 10
        sums = {
            SumKey(bucket_s, policy_version, arm, version if against or arm != "stable" else "1", against, name): value
            for (arm, name), value in counted.items()
        }
        self.store.count(f"source-{time.monotonic_ns()}", 0, 1, {route: sums})

    def request(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """Send one request."""
        return self.request_all([(method, path, body)], **more)[0]

    def request_all(self, requests: Sequence[tuple[str, str, Any]], **more: Any) -> list[httpx.Response]:
        """Send several requests at the same time."""
        _Current.parts = self._parts

        async def send() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            is_json = {"content-type": "application/json"}
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=is_json) as client:
                return await asyncio.gather(
                    *(client.request(method, path, content=_encoded(body), **more) for method, path, body in requests)
                )

        return asyncio.run(send())

    def get(self, path: str) -> Any:
        """Return the body of a GET that must succeed."""
        response = self.request("GET", path)
        assert response.status_code == 200, response.text
        return response.json()

    def declare(self, route: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Declare a new route."""
        response = self.request("PUT", f"/api/routes/{route}", spec, headers={"if-none-match": "*"})
        assert response.status_code == 200, response.text
        return response.json()

    def make(self, route: str, command: str, **body: Any) -> dict[str, Any]:
        """Send a command that must succeed."""
        response = self.request("POST", f"/api/routes/{route}/{command}", body)
        assert response.status_code == 200, response.text
        return response.json()

    def status(self, route: str) -> dict[str, Any]:
        """Return the status of one route."""
        return next(each for each in self.get("/api/status")["routes"] if each["route"] == route)


def _encoded(body: Any) -> bytes | None:
    return None if body is None else json.dumps(body).encode()


def refused(response: httpx.Response, status: int) -> str:
    """Return the error sentence of a response that must have this status."""
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    sentence: str = response.json()["error"]
    assert sentence.endswith(("?", "."))
    return sentence
