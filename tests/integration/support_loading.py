"""A gateway with keys, on which one thing happens to one route, and what the other routes must not notice of it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from gateway.access.api_keys import make_key
from gateway.access.change_header import CHANGE_HEADER
from store.interface import Store
from store.open import open_store
from tests.support import linear
from tests.support.gateway_process import GatewayProcess
from tests.support.polling import PATIENCE_S, wait_until
from tests.support.routes import declare

ABORT_WITHIN_S, REVOKED_WITHIN_S = 2.0, 4.0
"""Twice what is promised, for a busy machine; both take about 0.2 s."""
ENDS_WITHIN_S = 30.0
"""The grace that Kubernetes gives by default."""
_ANSWERS = 20


class Watched:
    """A running gateway that requires keys, with models of `tests.support.linear` in its registry."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.models = linear.fill(home / "models")
        self.gateway = GatewayProcess(
            home,
            "serve",
            **{
                "POINTSMAN_ENGINE": "uvicorn",
                "POINTSMAN_ACCESS": "required",
                "POINTSMAN_ALLOW_PICKLE": "true",
                "POINTSMAN_LOAD_MAX_BYTES": str(700 * 1024 * 1024),
                "POINTSMAN_KEEP_WARM_S": "5",
                "POINTSMAN_REGISTRY_EVERY_S": "0.3",
                **settings,
            },
        )
        self._http = httpx.Client(base_url=self.gateway.url, trust_env=False, timeout=PATIENCE_S)

    def start(self) -> None:
        """Start the gateway, and make a key that may do everything."""
        self.gateway.start()
        self._key = self._create_key("admin", "predict", "read", "operate")[1]

    def declare(self, spec: dict[str, Any]) -> None:
        """Write a route into the store, past the gateway, which would load its versions first."""
        with self._store() as store:
            declare(store, spec)

    def request(self, method: str, path: str, body: Any = None, key: str = "") -> httpx.Response:
        """Send a request, with the key that may do everything unless another is given."""
        headers = {"authorization": f"Bearer {key or self._key}", CHANGE_HEADER: "1"}
        return self._http.request(method, path, json=body, headers=headers)

    def infer(self, route: str, key: str = "") -> httpx.Response:
        """Send one row."""
        tensor = {"name": "X", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
        return self.request("POST", f"/v2/models/{route}/infer", {"inputs": [tensor]}, key)

    def apply(self, model: str) -> httpx.Response:
        """Apply a new route of version 1 of a model, as an operator does: the gateway loads the version first."""
        spec = {"route": model, "arms": {"a": f"{model}:1"}, "split": {"a": "100%"}}
        return self.request("POST", "/api/apply", {"routes": [{"spec": spec, "expected": 0}], "why": "a test"})

    def trouble(self, route: str) -> str:
        """Return what the replica reports of a route: its problem, or its warning."""
        (replica,) = self.request("GET", "/api/replicas").json()
        return str(replica["problems"].get(route, "") or replica["warnings"].get(route, ""))

    def serve(self, route: str, **spec: Any) -> None:
        """Declare a route, and wait until it answers."""
        self.declare({"route": route, **spec})
        wait_until(lambda: self.infer(route).status_code == 200)

    def require_unharmed(self, name: str) -> dict[str, float]:
        """Declare a route, abort its canary and revoke a key; return how many seconds the two took to take effect."""
        split = {"stable": "50%", "canary": "50%"}
        arms = {"stable": "linear:1", "canary": "linear:2"}
        self.serve(name, arms=arms, split=split, fallback="stable")
        key_id, key = self._create_key(name, "predict")
        wait_until(lambda: self.infer(name, key).status_code == 200)
        took = {"abort": self._seconds_to_abort(name), "revoke": self._seconds_to_revoke(name, key_id, key)}
        assert took["abort"] < ABORT_WITHIN_S, took
        assert took["revoke"] < REVOKED_WITHIN_S, took
        assert self._http.get("/v2/health/live").status_code == 200
        (replica,) = self.request("GET", "/api/replicas").json()
        assert (replica["state"], replica["routes"][name]) == ("LIVE", 2)
        assert self.request("GET", "/api/status").status_code == 200
        return took

    def _seconds_to_abort(self, route: str) -> float:
        response = self.request("POST", f"/api/routes/{route}/abort", {"arm": "canary", "why": "It is bad."})
        began_s = last_s = time.monotonic()
        assert response.status_code == 200, response.text
        without = 0
        while without < _ANSWERS:
            without += 1
            if self.infer(route).headers["x-arm"] == "canary":
                without, last_s = 0, time.monotonic()
            assert time.monotonic() - began_s < PATIENCE_S
        return last_s - began_s

    def _seconds_to_revoke(self, route: str, key_id: str, key: str) -> float:
        with self._store() as store:
            assert store.revoke_key(key_id, time.time()) is not None
        began_s = time.monotonic()
        wait_until(lambda: self.infer(route, key).status_code == 401)
        return time.monotonic() - began_s

    def _create_key(self, name: str, *scopes: str) -> tuple[str, str]:
        """Make a key as `pointsman keys create` does, which takes a second to start."""
        made, key = make_key(name, scopes, created_by="tests", now_s=time.time())
        with self._store() as store:
            assert store.add_key(made)
        wait_until(lambda: self._http.get("/v2", headers={"authorization": f"Bearer {key}"}).status_code != 401)
        return made.id, key

    @contextmanager
    def _store(self) -> Iterator[Store]:
        store = open_store(f"sqlite:///{self.gateway.home / 'pointsman.db'}")
        yield store
        store.close()

    def close(self) -> None:
        """Kill the gateway if a test has failed before its end."""
        self._http.close()
        if self.gateway.process is not None:
            self.gateway.process.kill()
            self.gateway.process.wait()

    def end(self) -> float:
        """End the gateway with SIGTERM. Return the seconds that it took; it must end in order and in time."""
        began_s = time.monotonic()
        code = self.gateway.end(limit_s=ENDS_WITHIN_S)
        took_s = time.monotonic() - began_s
        assert code == 0, f"{took_s:.1f} s\n{self.gateway.output.read_text()}"
        return took_s
