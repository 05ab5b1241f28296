"""Contexts, records and segments like those of the gateway, small enough to check by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference_log.files.directory import DirectoryFiles
from inference_log.query import run_query
from inference_log.record import Audit, Context, Record, SegmentEntry, SegmentHeader
from inference_log.segment import SUFFIX, frame
from inference_log.spool import take_seat

NOON_US = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z

MakeRecord = Callable[..., Record]
MakeContext = Callable[..., Context]
MakeAudit = Callable[..., Audit]
WriteSegment = Callable[..., Path]


@pytest.fixture
def make_context() -> MakeContext:
    """Return a function that makes a context of a model with input X (FP32, two columns), a label and scores."""

    def make(**changes: Any) -> Context:
        values: dict[str, Any] = {
            "number": 0,
            "route": "cancer",
            "arm": "stable",
            "role": "primary",
            "policy_kind": "split",
            "policy_version": 3,
            "snapshot_hash": "abc",
            "weights": {"stable": 0.9, "canary": 0.1},
            "model_name": "cancer",
            "model_version": "2",
            "model_digest": "d" * 64,
            "features": ("radius", "texture"),
            "inputs": ("<f4",),
            "label": (0, "<i8"),
            "prediction": (1, "<f4"),
        }
        return Context(**{**values, **changes})

    return make


@pytest.fixture
def make_record() -> MakeRecord:
    """Return a function that makes a record, of one answered instance by default. Tensors are given as arrays."""

    def make(context: int = 0, writer_seq: int = 0, **changes: Any) -> Record:
        values: dict[str, Any] = {
            "decision_id": f"d{writer_seq}",
            "attempt": 0,
            "event_us": NOON_US + writer_seq,
            "reason": "WEIGHTED",
            "propensity": 0.9,
            "unit_hash": None,
            "status": 200,
            "outcome": "ok",
            "error_code": "",
            "latency_us": 1500,
            "model_us": 250,
            "batch_size": 1,
            "request_id": "",
            "trace_id": "",
            "inputs": (np.array([[1, 2]], "<f4"),),
            "outputs": (np.array([1], "<i8"), np.array([[0.25, 0.75]], "<f4")),
        }
        values.update(changes)
        for name in ("inputs", "outputs"):
            values[name] = tuple(tensor.tobytes() for tensor in values[name])
        return Record(context, writer_seq, **values)

    return make


@pytest.fixture
def make_audit() -> MakeAudit:
    """Return a function that makes the audit entry of a change of a route's document."""

    def make(number: int = 1, **changes: Any) -> Audit:
        values: dict[str, Any] = {
            "route": "cancer",
            "version": number,
            "at_us": NOON_US + number,
            "who": "ann",
            "what": "shift canary=10%",
            "why": "more of it",
            "by": "host-0",
            "phase": "",
            "weights": {"stable": 0.9, "canary": 0.1},
            "document": "{}",
        }
        return Audit(number, **{**values, **changes})

    return make


@pytest.fixture
def write_segment() -> WriteSegment:
    """Return a function that writes a closed segment file."""

    def write(folder: Path, contexts: Sequence[Context], records: Sequence[SegmentEntry], sequence: int = 0) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"w-{sequence:08d}{SUFFIX}"
        path.write_bytes(b"".join(map(frame, (SegmentHeader("w", sequence), *contexts, *records))))
        return path

    return write


@pytest.fixture
def ask(tmp_path):
    return lambda sql: run_query(DirectoryFiles(tmp_path / "log"), tmp_path / "spool", sql)


@pytest.fixture
def seat(tmp_path):
    held = take_seat(tmp_path / "spool")
    yield held
    held.release()
