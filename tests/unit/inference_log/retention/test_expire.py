"""Old days go, whole and only if they are closed."""

import pytest

from inference_log.completeness.close import close_day
from inference_log.completeness.state import NotClosed
from inference_log.retention.expire import expire
from tests.unit.inference_log.compaction.support import Site
from tests.unit.inference_log.completeness.support import DAY, DAY_US, NOON_US, Machine

NEXT = "2026-03-02"


@pytest.fixture
def site(tmp_path, make_record, make_context) -> Site:
    made = Site(tmp_path, lambda: Machine(tmp_path / "log", tmp_path / "spool", make_record, make_context()))
    made.add(0, 1, 2)
    made.add(3, 4, at_us=NOON_US + DAY_US, sequence=1)
    made.compact(keep_us=0)
    return made


def close(site: Site) -> None:
    close_day(site.machine.files, DAY, site.now_us, force=True)


def test_a_day_that_is_not_closed_keeps_everything(site):
    with pytest.raises(NotClosed, match=f"not closed, so nothing was removed: {DAY}"):
        list(expire(site.machine.files, NEXT))
    assert site.numbers() == [0, 1, 2, 3, 4]


def test_the_days_before_go_with_their_wide_files_and_records(site):
    close(site)
    (gone,) = expire(site.machine.files, NEXT)
    assert (gone.day, gone.files) == (DAY, 2)
    assert site.numbers() == [3, 4]
    assert site.files("wide") == []
    assert [path for path in (site.log / "_compactions").rglob("*") if path.is_file()] == []
    assert list(expire(site.machine.files, NEXT)) == [(DAY, 0, 0)]  # empty folders stay in a directory


def test_a_dry_run_and_an_earlier_day_remove_nothing(site):
    close(site)
    (would_go,) = expire(site.machine.files, NEXT, dry_run=True)
    assert would_go.files == 2
    assert list(expire(site.machine.files, DAY)) == []
    assert site.numbers() == [0, 1, 2, 3, 4]
