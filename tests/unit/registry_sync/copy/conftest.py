"""A site for each test: a registry in memory and a copy of it."""

import pytest

from tests.unit.registry_sync.copy.support import Site


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path / "registry" / "copy", "m:1", "n@champion")
