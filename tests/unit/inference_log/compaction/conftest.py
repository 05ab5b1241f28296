"""A site with a log of three small files."""

import pytest

from tests.unit.inference_log.compaction.support import Site
from tests.unit.inference_log.completeness.support import Machine


@pytest.fixture
def make_site(make_record, make_context):
    """Return a function that makes a site in a folder, with rows 0 to 5 in two files of one route."""

    def make(root) -> Site:
        site = Site(root, lambda: Machine(root / "log", root / "spool", make_record, make_context()))
        site.add(0, 1, 2)
        site.add(3, 4, 5, sequence=1)
        return site

    return make


@pytest.fixture
def site(make_site, tmp_path):
    return make_site(tmp_path)
