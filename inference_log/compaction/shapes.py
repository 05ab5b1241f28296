"""How the rows of a table are compacted: which of them are the same, and how they are sorted."""

from typing import NamedTuple

from inference_log.schema import INFERENCES, REWARDS, Table


class Shape(NamedTuple):
    """Of rows with equal `identity` the first by `order` is kept. Rows are sorted by `sort`, which is unique.

    With `has_wide`, the table `wide` is made of them, too.
    """

    table: Table
    identity: str
    order: str
    sort: str
    has_wide: bool


SHAPES = (
    Shape(INFERENCES, "inference_id", INFERENCES.order, "event_ts_us, inference_id", has_wide=True),
    # Two rewards that say the same are two rows: only both of them together have the earliest time (`labelled`).
    Shape(REWARDS, "writer_id, writer_seq", "ingested_ts_us", "ingested_ts_us, writer_id, writer_seq", has_wide=False),
)
