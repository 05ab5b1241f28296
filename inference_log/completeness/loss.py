"""Counts what is lost: sequence numbers of writers that no row has.

A writer counts over all routes and days. So a number that is missing among the rows of a day may be a row of the day
before or after; it is looked for there. A loss counts for the route and the day of the writer's next row. What a writer
lost after its last row, or before its first, is not seen.
"""

from typing import NamedTuple

import duckdb

_EDGES = """
SELECT writer_id, max(near.writer_seq) AS writer_seq
FROM {near} near JOIN (SELECT writer_id, min(writer_seq) AS first FROM {rows} GROUP BY writer_id) USING (writer_id)
WHERE near.writer_seq < first GROUP BY writer_id
"""
_GAPS = """
CREATE OR REPLACE TEMP TABLE gaps AS
SELECT route, writer_id, before AS after, writer_seq AS before, writer_seq - before - 1 AS missing,
    segment - segment_before AS segments
FROM (
    SELECT *, lag(writer_seq) OVER w AS before, lag(segment) OVER w AS segment_before
    FROM (
        SELECT writer_id, writer_seq, min(route) AS route, min(segment) AS segment
        FROM {rows} GROUP BY writer_id, writer_seq
    )
    WINDOW w AS (PARTITION BY writer_id ORDER BY writer_seq)
)
WHERE writer_seq > before + 1
"""
_NEAR = """
SELECT writer_id, before, count(DISTINCT near.writer_seq)
FROM {near} near JOIN gaps USING (writer_id) WHERE near.writer_seq > gaps.after AND near.writer_seq < gaps.before
GROUP BY ALL
"""


class Gap(NamedTuple):
    """Numbers of a writer that no row has: `missing` of those between `after` and `before`, which rows have.

    `route` is that of the row `before`. `segments` is how much the numbers of their segments differ; None if that is
    not known, as of compacted rows.
    """

    route: str
    writer_id: str
    after: int
    before: int
    missing: int
    segments: int | None


def create_rows(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Make an empty table of rows: of which table of the log and route, with which number, from which segment."""
    columns = "kind VARCHAR, route VARCHAR, writer_id VARCHAR, writer_seq BIGINT, segment BIGINT"
    connection.execute(f"CREATE TABLE {name} ({columns})")


def find_gaps(connection: duckdb.DuckDBPyConnection, rows: str, near: str = "") -> list[Gap]:
    """Return the gaps of a table `rows` that `create_rows` made, by writer and number.

    `near` is another with the rows of the days before and after, if `rows` is only of one day.
    """
    every = f"(FROM {rows} UNION ALL BY NAME {_EDGES.format(rows=rows, near=near)})" if near else rows
    connection.execute(_GAPS.format(rows=every))
    gaps = [Gap(*each) for each in connection.execute("FROM gaps ORDER BY writer_id, before").fetchall()]
    if not gaps or not near:
        return gaps
    counted = connection.execute(_NEAR.format(near=near)).fetchall()
    found = {(writer, before): count for writer, before, count in counted}
    left = [gap._replace(missing=gap.missing - found.get((gap.writer_id, gap.before), 0)) for gap in gaps]
    return [gap for gap in left if gap.missing]
