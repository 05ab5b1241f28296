"""The documentation names only files, folders and headings that exist."""

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("loadtests/*.md")])
OURS = (
    "bandits",
    "docs",
    "gateway",
    "inference_log",
    "loadtests",
    "registry_sync",
    "router",
    "runtimes",
    "store",
    "tests",
)


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_paths_in_backquotes_exist(page):
    quoted = re.findall(r"`([a-z_]+(?:/[\w.-]+)*/?)`", page.read_text())
    paths = [path for path in quoted if path.split("/")[0] in OURS]
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not _exists(page, link)] == []


def _exists(page: Path, link: str) -> bool:
    path, _, heading = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not heading or heading in _headings(target))


def _headings(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
