"""A replica listens at once if it is alone, and beside others when it serves what they serve."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import httpx
import pytest

from gateway.inference.live_table import EMPTY
from gateway.replica.neighbours import Neighbours, lacks
from registry_sync.catalogue import Catalogue
from store.open import open_store
from store.report import Report
from tests.support.flaky_store import FlakyStore
from tests.support.polling import PATIENCE_S, wait_until
from tests.support.replica import _Running


@pytest.fixture
def store(tmp_path):
    made = FlakyStore(tmp_path)
    yield made
    made.real.close()


@pytest.fixture
def listening() -> Iterator[int]:
    """Return a port on which something accepts connections."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def report(store, replica: str, *, age_s: float = 0.0, problems: tuple[str, ...] = ()) -> None:
    at_s = time.time() - age_s
    known = dict.fromkeys(problems, "broken")
    store.real.report(Report(replica, 1, at_s, at_s - 60, "", routes={"a": 1, "b": 1}, problems=known))


@pytest.mark.parametrize(
    ("replica", "more", "served"),
    [
        ("here-0", {}, {"a", "b"}),
        ("here-0", {"problems": ("b", "c")}, {"a"}),  # what they do not serve as declared is not waited for
        ("here-1", {}, set()),  # its own report, or that of the process before it
        ("there-0", {}, {"a", "b"}),  # on another machine
        ("here-0", {"age_s": 30.0}, set()),
    ],
)
def test_neighbours_serve_what_they_reported_lately(store, listening, replica, more, served):
    report(store, replica, **more)
    assert Neighbours(store, "here-1", "127.0.0.1", listening).served() == served


@pytest.mark.parametrize(("replica", "served"), [("here-0", set()), ("there-0", {"a", "b"})])
def test_without_a_listener_only_reports_of_other_machines_count(store, listening, replica, served):
    report(store, replica)
    assert Neighbours(store, "here-1", "127.0.0.2", listening).served() == served


def test_while_the_store_is_away_it_is_not_known_what_neighbours_serve(store, listening):
    store.is_away = True
    assert Neighbours(store, "here-1", "127.0.0.1", listening).served() is None
    assert Neighbours(store, "here-1", "127.0.0.2", listening).served() == set()


@pytest.mark.parametrize(
    ("problems", "served", "is_behind"),
    [
        ((), frozenset("a"), False),
        ((), frozenset("ab"), True),
        (("a",), frozenset("a"), True),
        (("b",), frozenset("a"), False),
        (("b",), None, True),
        ((), None, False),
        (("b",), frozenset(), False),
    ],
)
def test_a_replica_is_behind_if_it_lacks_what_neighbours_serve(problems, served, is_behind):
    live = SimpleNamespace(routes={"a": None}, problems=dict.fromkeys(problems, "loading"))
    assert lacks(live, served) is is_behind
    assert not lacks(EMPTY, frozenset())


@pytest.fixture
def slow_loads(monkeypatch):
    """Let no replica load another version before this event is set."""
    may_load, load = threading.Event(), Catalogue._load

    def held(self, key, manifest, retry):
        may_load.wait(PATIENCE_S)
        return load(self, key, manifest, retry)

    monkeypatch.setattr(Catalogue, "_load", held)
    yield may_load
    may_load.set()


@pytest.fixture
def started():
    """Return a function that starts a replica in a thread, and gives a list that holds it once it has started."""
    threads: list[tuple[threading.Thread, list[_Running]]] = []

    def start(settings) -> list[_Running]:
        running: list[_Running] = []
        thread = threading.Thread(target=lambda: running.append(_Running(settings)))
        thread.start()
        threads.append((thread, running))
        return running

    yield start
    for thread, running in threads:
        thread.join(PATIENCE_S)
        running[0].stop()


def is_answered(settings, path: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{settings.port}{path}", trust_env=False).status_code == 200
    return False


def test_a_replica_that_is_alone_says_that_it_lives_while_its_versions_load(
    tmp_path, settings_of, declare, started, slow_loads, monkeypatch
):
    monkeypatch.setattr("gateway.replica.replica._SETTLE_S", 2 * PATIENCE_S)
    chosen = settings_of(tmp_path, engine="uvicorn")
    store = open_store(chosen.store)
    declare(store, {"route": "plain", "arms": {"a": "linear:1"}, "split": {"a": 1}})
    store.close()
    started(chosen)
    wait_until(lambda: is_answered(chosen, "/v2/health/live"))
    assert not is_answered(chosen, "/v2/models/plain/ready")
    slow_loads.set()
    wait_until(lambda: is_answered(chosen, "/v2/models/plain/ready"))


def test_a_replica_beside_others_listens_when_it_serves_what_they_serve(
    tmp_path, settings_of, serving, started, monkeypatch, request
):
    chosen = settings_of(tmp_path, engine="ray")
    with serving(chosen) as first:
        wait_until(lambda: first.replica._store.reports())
        may_load = request.getfixturevalue("slow_loads")
        monkeypatch.setattr("gateway.replica.replica._SETTLE_S", 0.1)
        second = started(chosen)
        began_s = time.monotonic()
        while time.monotonic() - began_s < 3.0:  # many times longer than it waits for anything else
            assert first.http.get("/v2/models/plain/ready", headers={"connection": "close"}).status_code == 200
            assert not second
        may_load.set()
        wait_until(lambda: second)
        assert second[0].replica._http.is_listening()
        for _ in range(50):  # a connection each, so that the kernel spreads them
            assert is_answered(chosen, "/v2/models/plain/ready")
