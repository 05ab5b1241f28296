"""An intake whose store has the route `fraud`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.sqlite.store import SQLiteStore
from tests.unit.gateway.companion.rewards.support import NOON_US, Taken, document, write


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    opened = SQLiteStore(tmp_path / "store.db", now=lambda: NOON_US / 1_000_000)
    write(opened, document())
    yield opened
    opened.close()


@pytest.fixture
def taken(tmp_path: Path, store: SQLiteStore) -> Iterator[Taken]:
    made = Taken(tmp_path / "spool", store)
    made.look()
    yield made
    made.writer.close()
