"""Fixtures of the gateway's tests: a registry of tiny models, one replica for the session, and live tables."""

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.inference.live_table import LiveTable
from gateway.settings import Settings
from runtimes.manifest import Signature
from store.interface import Store
from tests.support import linear, live_tables, replica, routes


@pytest.fixture(scope="session", autouse=True)
def process_as_it_was() -> Iterator[None]:
    """Undo what a replica does to its process, which it takes to be its own."""
    threshold = gc.get_threshold()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # its threads would log between a test's lines
    yield
    structlog.reset_defaults()
    gc.unfreeze()
    gc.set_threshold(*threshold)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a registry with the models of `tests.support.linear`. Tests must not change it."""
    return linear.fill(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def own_registry(tmp_path: Path) -> Path:
    """Return the same for this test alone, to be changed."""
    return linear.fill(tmp_path / "models")


@pytest.fixture
def declare() -> Callable[[Store, Mapping[str, Any]], None]:
    """Return `tests.support.routes.declare`."""
    return routes.declare


@pytest.fixture
def settings_of(registry: Path) -> Callable[..., Settings]:
    """Return a function of a home and of settings that differ from the tests' usual ones."""
    return lambda home, **more: replica.settings_of(registry, home, **more)


@pytest.fixture(scope="session")
def gateway(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[replica.Gateway]:
    """Serve the routes plain, half and byparameter, as the uvicorn engine does."""
    with replica.serving(replica.settings_of(registry, tmp_path_factory.mktemp("home"))) as gateway:
        yield gateway


@pytest.fixture
def serving() -> Callable[[Settings], AbstractContextManager[replica.Gateway]]:
    """Return `tests.support.replica.serving`, which starts a replica with other settings."""
    return replica.serving


@pytest.fixture
def signature() -> Signature:
    """Return the signature that `join_live` expects its runtimes to have."""
    return live_tables.SIGNATURE


@pytest.fixture
def join_live() -> Callable[..., LiveTable]:
    """Return `tests.support.live_tables.join_live`."""
    return live_tables.join_live
