"""The rows of changes, with the types that the schema declares."""

from datetime import datetime

from inference_log.schema import AUDIT, Partition
from tests.unit.inference_log.rows.support import tables_of


def test_a_change_is_one_row(make_audit):
    audit = make_audit(7, version=4, phase="PROGRESSING", weights={"stable": 0.75, "canary": 0.25})
    ((partition, table),) = tables_of([], [], [audit]).items()
    assert partition == Partition(AUDIT, ("2026-01-01",))
    assert partition.path == "audit/dt=2026-01-01"
    assert table.schema.equals(AUDIT.columns)
    table.validate(full=True)
    (row,) = table.to_pylist(maps_as_pydicts="strict")
    assert row == {
        "number": 7,
        "route": "cancer",
        "version": 4,
        "changed_ts": datetime(2026, 1, 1, 12),
        "changed_ts_us": 1_767_268_800_000_007,
        "schema_version": 2,
        "who": "ann",
        "what": "shift canary=10%",
        "why": "more of it",
        "replica": "host-0",
        "phase": "PROGRESSING",
        "weights": {"stable": 0.75, "canary": 0.25},
        "document": "{}",
    }


def test_a_segment_without_changes_has_no_partition():
    assert tables_of([], [], []) == {}
