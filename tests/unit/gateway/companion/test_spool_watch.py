"""What the companion says of the log that waits on its machine."""

from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from gateway.companion.spool_watch import SpoolWatch
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.published import read_all
from gateway.telemetry.render import render
from inference_log.converter import Converted, Outcome
from inference_log.disk_bound import DiskUseReader, Shed
from inference_log.record import Context, Record, SegmentHeader
from inference_log.segment import frame
from inference_log.ship import Shipper
from inference_log.spool import DEAD_LETTER
from inference_log.writer import LogWriter

BEGAN_S = 1_767_268_800.0


class Machine:
    """A spool with a shipper whose converter stores nothing while it has a code."""

    def __init__(self, root, setting: int = 0) -> None:
        self.spool, self.code = root / "spool", "SlowDown"
        (self.spool / "companion").mkdir(parents=True)
        self.shipper = Shipper(self.spool, SimpleNamespace(convert=self._convert), may_delete=lambda _: False)
        self.writer = LogWriter(self.spool / "companion", "rewards")
        self.watch = SpoolWatch(self.spool, setting, self.shipper, self.writer)
        self.metrics = Metrics(root / "metrics", "companion")
        self.folder = root / "metrics"

    def _convert(self, *_: object) -> Converted:
        if self.code:
            return Converted(Outcome.UNAVAILABLE, sentence="s3://logs answers SlowDown.", code=self.code)
        return Converted(Outcome.STORED, rows=3)

    def write(self, seat: str = "0", size: int = 10) -> None:
        """Write a closed segment whose first row came at `BEGAN_S`."""
        (self.spool / seat).mkdir(exist_ok=True)
        context = Context(0, "r", "a", "primary", "split", 1, "h", {"a": 1.0}, "m", "1", "d")
        record = Record(
            0, 0, "d", 0, int(BEGAN_S * 1e6), "", None, None, 200, "ok", "", 0, 0, 1, "x" * size, "", (), ()
        )
        content = b"".join(map(frame, (SegmentHeader("w", 0), context, record)))
        (self.spool / seat / "w-00000000.segment").write_bytes(content)

    def said(self, after_s: float) -> str:
        self.shipper.tick()
        self.watch.look()
        return self.watch.trouble(BEGAN_S + after_s)

    def metric(self, name: str) -> float:
        self.watch.publish(self.metrics)
        self.metrics.publish()
        text = render(read_all(self.folder), {"companion"}).decode()
        (line,) = [each for each in text.splitlines() if each.startswith((f"{name} ", f"{name}{{"))]
        return float(line.split()[-1])


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


def test_a_log_that_lags_says_so_with_the_reason_until_it_is_stored(machine):
    machine.write()
    assert machine.said(299) == ""
    assert machine.said(720) == (
        "The log lags: 0 MB wait on this machine, the oldest row for 12m. s3://logs answers SlowDown."
    )
    machine.code = ""
    machine.shipper.tick(is_last=True)
    assert machine.said(720) == ""  # only its deletion waits


def test_a_spool_that_is_half_full_lags_however_young_its_rows_are(tmp_path):
    machine = Machine(tmp_path, 1_000_000)
    machine.write(size=300_000)
    assert machine.said(1) == ""
    machine.write(size=600_000)
    assert "The log lags: 1 MB wait on this machine, the oldest row for 1.0s." in machine.said(1)


@pytest.mark.parametrize(
    ("size", "shed", "sentence"),
    [
        (850_000, Shed.PAYLOADS, ""),
        (950_000, Shed.BEST_EFFORT, "Rows of routes with durability best_effort are left out of the log"),
        (1_100_000, Shed.ALL, "All rows are left out of the log, since it may take 1 MB here (LOG_MAX_DISK_BYTES)."),
    ],
)
def test_what_is_left_out_is_said_logged_once_and_told_to_the_replicas(tmp_path, size, shed, sentence):
    machine = Machine(tmp_path, 1_000_000)
    machine.write(size=size)
    with capture_logs() as lines:
        said = [machine.said(1) for _ in range(3)][-1]
    assert said.startswith(sentence)
    events = [line["event"] for line in lines if line["event"].startswith("inference_log.bound")]
    assert events == (["inference_log.bound.reached"] if sentence else [])
    assert machine.writer.leaves_out is shed
    assert DiskUseReader(machine.spool, 0).read().shed is shed


def test_what_was_set_aside_is_said_and_counts(machine):
    machine.write(DEAD_LETTER, 2_000_000)
    assert "Segments of the log were set aside: 1, 2 MB." in machine.said(1)
    assert machine.metric("pointsman_log_set_aside_bytes") > 2_000_000
    assert machine.metric("pointsman_log_spool_bytes") > 2_000_000


def test_the_metrics_say_what_waits_and_what_failed(machine, monkeypatch):
    monkeypatch.setattr("gateway.companion.spool_watch.time.time", lambda: BEGAN_S + 90)
    machine.write()
    machine.said(1)
    assert machine.metric("pointsman_log_oldest_row_seconds") == 90
    assert machine.metric("pointsman_log_waiting_segments") == 1
    assert 0 < machine.metric("pointsman_log_waiting_bytes") < 1000
    assert machine.metric('pointsman_log_failures_total{code="SlowDown"}') == 1
    assert machine.metric("pointsman_log_max_disk_bytes") > 1_000_000
    machine.code = ""
    machine.shipper.tick(is_last=True)
    machine.watch.look()
    assert machine.metric("pointsman_log_oldest_row_seconds") == 0
    assert machine.metric('pointsman_log_records_total{outcome="persisted"}') == 3
