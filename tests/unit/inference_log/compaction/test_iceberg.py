"""A compacted day is in the table of Iceberg once, whatever becomes of its snapshots and files, and of the job."""

from typing import Any

import pytest
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from inference_log.compaction import iceberg
from inference_log.compaction.iceberg import CommitRefused, commit_day
from tests.unit.inference_log.compaction.support import Site
from tests.unit.inference_log.completeness.support import DAY

NAME = "lake.ledger.inferences"


@pytest.fixture(autouse=True)
def catalog(monkeypatch, tmp_path) -> Catalog:
    options = {"py-catalog-impl": "tests.support.iceberg_catalog.FolderCatalog"}
    made = load_catalog("lake", **options, warehouse=f"file://{tmp_path / 'warehouse'}")
    monkeypatch.setattr(
        iceberg, "load_catalog", {"lake": made}.__getitem__
    )  # it reads its settings when it is imported
    return made


def table(catalog) -> Table:
    return catalog.load_table("ledger.inferences")


def numbers(catalog) -> list[int]:
    return sorted(table(catalog).scan().to_arrow()["writer_seq"].to_pylist())


def commit(site: Site) -> list[tuple]:
    return [tuple(each) for each in commit_day(NAME, site.machine.files, DAY)]


def test_a_day_is_committed_once(site, catalog):
    site.compact(keep_us=0)
    assert commit(site) == [("fraud", 6, True)]
    rows = table(catalog).scan().to_arrow()
    assert set(rows["route"].to_pylist()) == {"fraud"}
    assert rows["features_num"].to_pylist()[0] == [("radius", 1.0), ("texture", 2.0)]
    before = table(catalog).metadata_location
    assert commit(site) == [("fraud", 6, False)]
    assert table(catalog).metadata_location == before
    assert [field.name for field in table(catalog).spec().fields] == ["route", "dt"]


def test_late_rows_replace_the_day(site, catalog):
    site.compact(keep_us=0)
    commit(site)
    site.add(6, 7, sequence=2)
    assert commit(site) == []  # it is not compacted as a whole
    site.compact(keep_us=0)
    assert commit(site) == [("fraud", 8, True)]
    assert numbers(catalog) == list(range(8))


def test_expired_snapshots_are_no_reason_to_commit_again(site, catalog):
    site.compact(keep_us=0)
    commit(site)
    table(catalog).append(table(catalog).scan().to_arrow().slice(0, 0))  # a newer snapshot, so that ours may expire
    ours = [each.snapshot_id for each in table(catalog).metadata.snapshots][:-1]
    table(catalog).maintenance.expire_snapshots().by_ids(ours).commit()
    assert commit(site) == [("fraud", 6, False)]
    assert numbers(catalog) == list(range(6))


def test_rewritten_files_are_no_reason_to_commit_again(site, catalog):
    site.compact(keep_us=0)
    commit(site)
    rows = table(catalog).scan().to_arrow()
    table(catalog).overwrite(rows)  # what a maintenance job does: other files with the same rows
    assert commit(site) == [("fraud", 6, False)]
    assert numbers(catalog) == list(range(6))


def test_rows_that_were_deleted_on_purpose_stay_deleted(site, catalog):
    site.compact(keep_us=0)
    commit(site)
    table(catalog).delete("writer_seq = 3")
    assert commit(site) == [("fraud", 6, False)]
    assert numbers(catalog) == [0, 1, 2, 4, 5]


def test_two_jobs_that_both_added_the_rows_are_noticed(site, catalog, monkeypatch):
    site.compact(keep_us=0)
    original = iceberg._replace

    def twice(*arguments: Any, **options: Any) -> None:
        original(*arguments, **options)
        monkeypatch.setattr(iceberg, "_replace", original)
        original(*arguments, **{**options, "has_rows": False})

    monkeypatch.setattr(iceberg, "_replace", twice)
    assert commit(site) == [("fraud", 6, True)]
    assert numbers(catalog) == list(range(6))


def test_a_commit_that_fails_is_tried_again_and_then_refused(site, catalog, monkeypatch):
    site.compact(keep_us=0)

    def fail(*_: Any, **__: Any) -> None:
        raise CommitFailedException("another writer")

    monkeypatch.setattr(iceberg, "_replace", fail)
    with pytest.raises(CommitRefused, match="Run it again"):
        commit(site)
    monkeypatch.undo()


@pytest.mark.parametrize("name", ["lake", "lake.inferences"])
def test_a_name_without_a_table_is_refused(site, name):
    with pytest.raises(CommitRefused, match=r"CATALOG\.NAMESPACE\.TABLE"):
        list(commit_day(name, site.machine.files, DAY))
