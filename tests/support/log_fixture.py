"""Writes one small Parquet file per table, and the segment behind them, as the code of today does.

    python -m tests.support.log_fixture tests/fixtures/log/2

Run it when `inference_log.record.SCHEMA_VERSION` goes up, before that version is released, and never again for it: the
files show what a release has written. Fields that a release does not have yet are left out.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from bandits.linear.packed import pack
from inference_log.local_converter import LocalConverter
from inference_log.payload import Body, Payload
from inference_log.record import (
    Audit,
    Comparison,
    Context,
    Kept,
    Learned,
    Record,
    Reward,
    RewardContext,
    SegmentHeader,
)
from inference_log.request_slots import packer
from inference_log.segment import SUFFIX, frame
from inference_log.sinks.directory import DirectorySink
from router.rewards.events import Operation
from router.spec.metric import MetricSpec
from router.spec.weighing import Weighing

NOON_US = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z
METRICS = (MetricSpec("click", 3600.0),)
ADDED_TO_CONTEXTS: dict[str, Any] = {"cluster": "blue", "redaction": "ab12", "sample_slots": 2_500}
ADDED_TO_RECORDS: dict[str, Any] = {"caller": "key web", "door": "v2", "tags": (("team", "risk"),), "queue_us": 125}


def entries() -> list[Any]:
    """Return the entries of a segment: each kind, and each column with a value at least once."""
    primary = _made(Context, ADDED_TO_CONTEXTS, **_context(0, "primary"))
    shadow = _made(Context, {}, **_context(1, "shadow", against="stable", against_version="2"))
    texts = b"\x01\x00\x00\x00f", b"\x05\x00\x00\x00K\xc3\xb6ln"
    numbers = np.array([[1, 2]], "<f4").tobytes()
    outputs = np.array([1], "<i8").tobytes(), np.array([[0.25, 0.75]], "<f4").tobytes()
    vector = pack((8192, 8192, 4096))
    whole = _record(0, inputs=(numbers, *texts), outputs=outputs, vector=vector, added=ADDED_TO_RECORDS)
    sample = _record(
        1, batch_size=1001, inputs=(numbers * 2,), outputs=tuple(2 * each for each in outputs),
        kept=Kept(2, has_values=True, is_missing=False),
    )  # fmt: skip
    failed = _record(2, outcome="error", status=500, error_code="ModelFailed", propensity=None, unit_hash=None)
    compared = _record(
        3, context=1, attempt=100, reason="SHADOW", propensity=None, outputs=outputs,
        comparison=Comparison(1, 1, 500_000, 250_000, -7),
    )  # fmt: skip
    return [
        SegmentHeader("w", 0),
        primary,
        shadow,
        whole,
        sample,
        failed,
        compared,
        Audit(1, "cancer", 3, NOON_US, "ann", "shift canary=10%", "more of it", "host-0", "", {"stable": 0.9}, "{}"),
        RewardContext(0, "cancer", 7, 3, "stable", "2", METRICS, weighing=Weighing(("stable", "canary"), "stable", ())),
        Reward(
            0, 4, "d0", NOON_US, 1500, 0.9, 5, "click", "e1", Operation.SET, NOON_US + 9, 1.0, NOON_US + 10,
            is_late=False, source="http", slots=packer(2)((9_000, 1_000)),
        ),
        Learned("cancer", 7, 1, 3, NOON_US, {"stable": 0.5, "canary": 0.5}, "{}"),
        *_payloads(),
    ]  # fmt: skip


def _payloads() -> list[Any]:
    """Return the bodies of a request, which schema version 2 begins to have."""
    request = Body(b'{"inputs": []}', 14, "application/json")
    return [Payload("cancer", "d0", NOON_US, "v2", 200, request, Body(b"{", 40, "application/json", "gzip", 30))]


def write(folder: Path) -> None:
    """Write `<table>.parquet` of each table and `w.segment` into a folder, which is made."""
    folder.mkdir(parents=True)
    segment, log = folder / f"w{SUFFIX}", folder / "log"
    segment.write_bytes(b"".join(map(frame, entries())))
    converted = LocalConverter(DirectorySink(log)).convert(segment, lambda: False)
    if converted.sentence:
        raise SystemExit(converted.sentence)
    for path in sorted(log.rglob("*.parquet")):
        path.rename(folder / f"{path.relative_to(log).parts[0]}.parquet")
    for empty in sorted(log.rglob("*"), reverse=True):
        empty.rmdir()
    log.rmdir()


def _context(number: int, role: str, **changes: Any) -> dict[str, Any]:
    return {
        "number": number, "route": "cancer", "arm": "stable", "role": role, "policy_kind": "split", "policy_version": 3,
        "snapshot_hash": "abc", "weights": {"stable": 0.9, "canary": 0.1}, "model_name": "cancer", "model_version": "2",
        "model_digest": "d" * 64, "features": ("radius", "texture"), "inputs": ("<f4",), "categories": ("sex", "town"),
        "label": (0, "<i8"), "prediction": (1, "<f4"), "metrics": METRICS, "policy_number": 1, **changes,
    }  # fmt: skip


def _record(writer_seq: int, *, added: dict[str, Any] | None = None, **changes: Any) -> Record:
    values: dict[str, Any] = {
        "context": 0, "writer_seq": writer_seq, "decision_id": f"d{writer_seq}", "attempt": 0,
        "event_us": NOON_US + writer_seq, "reason": "STICKY", "propensity": 0.9, "unit_hash": "a1b2", "status": 200,
        "outcome": "ok", "error_code": "", "latency_us": 1500, "model_us": 250, "batch_size": 1, "request_id": "r",
        "trace_id": "t", **changes,
    }  # fmt: skip
    return _made(Record, added or {}, **values)


def _made(kind: Any, added: dict[str, Any], **values: Any) -> Any:
    """Return an entry with the fields of `added` that this release has."""
    return kind(**values, **{name: each for name, each in added.items() if name in kind.__struct_fields__})


if __name__ == "__main__":
    write(Path(sys.argv[1]))
