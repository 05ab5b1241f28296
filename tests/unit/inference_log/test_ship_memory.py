"""Turning a segment into Parquet takes little memory, whatever its size: a segment of 1 GB took over 14 GB.

`make soak` sets POINTSMAN_SEGMENT_MB=1024.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.support.components import by_hand

SEGMENT_MB = int(os.environ.get("POINTSMAN_SEGMENT_MB", "200"))
LIMIT_MB = 512
"""docs/operating.md promises this for requests of up to 16 MB. The process has about 80 MB before it begins."""

_CONVERT = """
import json, resource, sys
from pathlib import Path
import numpy as np
from inference_log.record import Context, Record, SegmentHeader
from inference_log.segment import frame
from inference_log.local_converter import LocalConverter
from inference_log.ship import Shipper
from inference_log.sinks.directory import DirectorySink
from inference_log.spool import take_seat

root, size_mb, rows, columns = Path(sys.argv[1]), *map(int, sys.argv[2:])
seat = take_seat(root / "spool")
path = seat.folder / "w-00000000.segment"
names = tuple(f"feature {number}" for number in range(columns))
context = Context(0, "r", "a", "primary", "split", 1, "h", {"a": 1.0}, "m", "1", "d", names, ("<f4",), (0, "<i8"))
inputs = (np.random.default_rng(1).random((rows, columns), "f4").tobytes(),)
outputs = (np.zeros(rows, "<i8").tobytes(),)
appended = 0
with path.open("wb") as file:
    file.write(frame(SegmentHeader("w", 0)) + frame(context))
    while file.tell() < size_mb * 1024 * 1024:
        record = Record(
            0, appended, f"d{appended}", 0, 1_767_268_800_000_000 + appended, "WEIGHTED", 0.5, None, 200, "ok", "",
            10, 10, rows, "", "", inputs, outputs,
        )
        file.write(frame(record))
        appended += 1
shipper = Shipper(root / "spool", LocalConverter(DirectorySink(root / "log")))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
shipper.ship([path])
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"before": before // 1024, "after": after // 1024, "left": path.exists(),
                  "rows": shipper.rows_persisted, "expected": appended * rows}))
"""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("size_mb", "rows", "columns"),
    [by_hand(SEGMENT_MB, 60_000, 62), by_hand(64, 1, 8), (64, 1000, 250)],
    ids=["requests of 15 MB", "single instances", "samples of 1 MB"],
)
def test_the_peak_of_a_conversion_is_bounded(tmp_path, size_mb, rows, columns):
    command = [sys.executable, "-c", _CONVERT, tmp_path, str(size_mb), str(rows), str(columns)]
    finished = subprocess.run(command, capture_output=True, check=True)
    report = json.loads(finished.stdout)
    assert (report["left"], report["rows"]) == (False, report["expected"]), finished.stderr.decode()
    assert report["after"] - report["before"] < LIMIT_MB, report
