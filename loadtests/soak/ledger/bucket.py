"""What is in the bucket: each answered request once in the view, and what the loss audit says."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from inference_log.files import LogFiles

_COLUMNS = ["request_id", "inference_id", "writer_id", "writer_seq"]


class Found(NamedTuple):
    """What was found. `missing` requests were answered and are not there; `twice` are there under several ids.

    `repeated` rows have the id of another row, which the view leaves out. `lost` is the loss audit's sum over writers.
    """

    files: int
    file_bytes: int
    rows: int
    repeated: int
    missing: int
    twice: int
    unanswered: int
    writers: int
    lost: int


def look(files: LogFiles, answered: np.ndarray) -> Found:
    """Read all rows. `answered` says of each number whether its request was answered."""
    stored = files.list("inferences/")
    paths = [files.path(each.key) for each in stored]
    table = ds.dataset(paths, filesystem=files.filesystem, format="parquet").to_table(columns=_COLUMNS)
    view = table.group_by("inference_id").aggregate(
        [("request_id", "min"), ("writer_id", "min"), ("writer_seq", "min")]
    )
    asked = view.filter(pc.starts_with(view["request_id_min"], "m-"))
    numbers = pc.utf8_slice_codeunits(asked["request_id_min"], 2).cast(pa.int64()).to_numpy()
    times = np.bincount(numbers, minlength=len(answered))
    return Found(
        files=len(stored),
        file_bytes=sum(each.size for each in stored),
        rows=table.num_rows,
        repeated=table.num_rows - view.num_rows,
        missing=int((answered & (times == 0)).sum()),
        twice=int((times > 1).sum()),
        unanswered=int((~answered & (times > 0)).sum()),
        writers=pc.count_distinct(table["writer_id"]).as_py(),
        lost=_lost(view),
    )


def _lost(view: pa.Table) -> int:
    """Return how many numbers of writers are missing, also at their beginning."""
    audit = view.group_by("writer_id_min").aggregate([("writer_seq_min", "max"), ("writer_seq_min", "count_distinct")])
    return int(
        sum(last + 1 - seen for last, seen in zip(*(audit[name].to_pylist() for name in (
            "writer_seq_min_max", "writer_seq_min_count_distinct")), strict=True))
    )  # fmt: skip
