"""Each kind of model is complete: its code, its place in the documentation, and how it is told."""

import re
from typing import get_args

import pytest

from gateway.inference.metadata import _PLATFORM_OF
from runtimes.detect import _CONTENTS, _SUFFIXES
from runtimes.kinds import drafter_of, loader_of
from runtimes.manifest import RuntimeName
from tests.support.paths import ROOT

KINDS: tuple[RuntimeName, ...] = get_args(RuntimeName)
PAGE = (ROOT / "docs/models.md").read_text()
TOLD_BY_A_FILES_NAME = {"mlflow", "python"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_a_loader_and_a_drafter(kind):
    assert callable(loader_of(kind))
    assert callable(drafter_of(kind))


def test_every_kind_is_told_by_its_content_or_its_name():
    assert {*_CONTENTS, *_SUFFIXES.values(), *TOLD_BY_A_FILES_NAME} == set(KINDS)
    assert _PLATFORM_OF.keys() <= set(KINDS)


def test_the_page_names_every_kind_and_has_a_section_for_it():
    row = re.search(r"^\| `runtime` \| (.*) \|$", PAGE, re.MULTILINE)
    assert row is not None
    assert set(re.findall(r"`(\w+)`", row[1])) == set(KINDS)
    titles = {title.replace("-", "").lower().split()[0] for title in re.findall(r"^## (.*)$", PAGE, re.MULTILINE)}
    assert {"scikitlearn" if kind == "sklearn" else kind for kind in KINDS} <= titles


def test_the_page_links_to_every_section_from_its_top():
    top = PAGE[: PAGE.index("\n## ")]
    titles = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    anchors = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    assert [anchor for anchor in anchors if f"](#{anchor})" not in top] == []
