"""The partitions of a segment's rows: by table, route and day."""

from inference_log.schema import INFERENCES, Partition
from tests.unit.inference_log.rows.support import NOON_US, rows_of, tables_of

TODAY = Partition(INFERENCES, ("cancer", "2026-01-01"))


def test_two_days_are_two_partitions(make_context, make_record):
    midnight_us = NOON_US + 12 * 3_600_000_000
    records = [make_record(writer_seq=0, event_us=midnight_us - 1), make_record(writer_seq=1, event_us=midnight_us)]
    tables = tables_of([make_context()], records)
    assert {key: table["writer_seq"].to_pylist() for key, table in tables.items()} == {
        TODAY: [0],
        Partition(INFERENCES, ("cancer", "2026-01-02")): [1],
    }


def test_contexts_of_one_route_share_a_partition_and_routes_do_not(make_context, make_record):
    contexts = [make_context(number=0), make_context(number=1, arm="canary"), make_context(number=2, route="digits")]
    records = [make_record(context=index % 3, writer_seq=index) for index in range(6)]
    tables = tables_of(contexts, records)
    assert {key.values[0]: table["arm"].to_pylist() for key, table in tables.items()} == {
        "cancer": ["stable", "canary", "stable", "canary"],
        "digits": ["stable", "stable"],
    }


def test_rows_are_sorted_by_time(make_context, make_record):
    records = [make_record(writer_seq=index, event_us=NOON_US - index) for index in range(4)]
    assert [row["writer_seq"] for row in rows_of([make_context()], records)] == [3, 2, 1, 0]
