"""Fixtures that several tests of documents share."""

import pytest

from tests.unit.gateway.control.support_reconciler import Bench
from tests.unit.gateway.control.support_rollouts import Site


@pytest.fixture
def site(tmp_path, own_registry):
    """Provide a store and a registry with one replica that advances rollouts."""
    made = Site(tmp_path, own_registry)
    yield made
    made.store.real.close()


@pytest.fixture
def bench(tmp_path, own_registry):
    """Provide a reconciler over a store and a registry."""
    built = Bench(tmp_path, own_registry)
    yield built
    built.store.real.close()
