"""What other users of the machine, and callers without a key, learn: nothing."""

import asyncio
import stat
import time

import httpx
import pytest
from fastapi import FastAPI

from gateway.access.api_keys import make_key
from gateway.access.guard import AccessGuard
from gateway.access.middleware import AccessMiddleware
from gateway.access.private_home import make_home
from gateway.api.metadata import metadata_router
from store.redis.address import plain_remote_nodes
from tests.support.polling import PATIENCE_S
from tests.support.replica import serving, settings_of


def test_the_home_and_its_files_are_private(registry, tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.companion.keeper._LAST_WORK_S", PATIENCE_S)  # for a busy machine
    home = tmp_path / "home"
    make_home(home)
    with serving(settings_of(registry, home)) as running:
        assert running.infer().status_code == 200
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (home, *home.rglob("*"))}
    assert any(path.name.startswith("pointsman.db") for path in modes)
    assert any(path.suffix == ".parquet" for path in modes)
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


class _NotReady:
    """A gateway whose route cannot be served."""

    def problems(self) -> dict[str, str]:
        return {"fraud": "fraud:17 is gone."}


def test_a_stranger_learns_from_health_only_that_it_is_not_ready():
    app = FastAPI()
    app.include_router(metadata_router(_NotReady()))
    key, shown = make_key("ci", ["read"], created_by="ada", now_s=time.time())
    guard = AccessGuard()
    guard.replace_keys([key])
    guarded, answer = AccessMiddleware(app, guard), {"ready": False, "error": "fraud:17 is gone."}

    async def ready(application, **headers: str) -> tuple[int, dict[str, object]]:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            response = await client.get("/v2/health/ready", headers=headers)
            return response.status_code, response.json()

    assert asyncio.run(ready(guarded)) == (503, {"ready": False})
    assert asyncio.run(ready(guarded, authorization="Bearer pk_wrong")) == (503, {"ready": False})
    assert asyncio.run(ready(guarded, authorization=f"Bearer {shown}")) == (503, answer)
    assert asyncio.run(ready(app)) == (503, answer)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("redis://u:p@10.0.0.5:6379/0", ["10.0.0.5"]), ("redis://localhost", []), ("redis://127.0.0.1", []),
        ("redis://[::1]:1", []), ("rediss://10.0.0.5", []), ("sqlite:////x.db", []), ("redis://db.lan", ["db.lan"]),
        ("redis+cluster://a:1,127.0.0.1:2", ["a"]), ("redis+sentinel://a:1/s", ["a"]),
    ],
)  # fmt: skip
def test_which_store_is_reached_in_clear(url, hosts):
    assert plain_remote_nodes(url) == hosts
