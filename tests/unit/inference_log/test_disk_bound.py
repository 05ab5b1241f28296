"""How much disk the log may take here, and what is left out near that."""

import os
import shutil
from types import SimpleNamespace

import pytest

from inference_log.disk_bound import DiskUse, DiskUseReader, Shed, bound_bytes, write_use
from inference_log.waiting import Waiting

GIB = 1024**3


@pytest.mark.parametrize(
    ("used", "shed"),
    [(0, Shed.NOTHING), (799, Shed.NOTHING), (800, Shed.PAYLOADS), (900, Shed.BEST_EFFORT), (1000, Shed.ALL),
     (5000, Shed.ALL)],
)  # fmt: skip
def test_payloads_go_first_then_best_effort_then_all(used, shed):
    assert DiskUse(Waiting(total_bytes=used), 1000).shed is shed


@pytest.mark.parametrize(("free", "bound"), [(10 * GIB, 5 * GIB), (1000 * GIB, 50 * GIB), (0, 1)])
def test_without_a_setting_it_is_half_of_what_is_free(tmp_path, monkeypatch, free, bound):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert bound_bytes(tmp_path, 0) == bound
    assert bound_bytes(tmp_path, 77) == 77


def test_what_waits_already_is_not_taken_off_the_default(tmp_path, monkeypatch):
    """Otherwise each restart during an outage would halve it."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=GIB))
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "w.segment").write_bytes(b"x" * 1_048_576)
    assert bound_bytes(tmp_path, 0) >= (GIB + 1_048_576) // 2


def test_a_replica_believes_the_companion_while_it_tells(tmp_path):
    told = DiskUse(Waiting(total_bytes=5, segments=1), 10)
    write_use(tmp_path, told)
    assert DiskUseReader(tmp_path, 0).read() == told


@pytest.mark.parametrize("state", ["none", "old", "damaged"])
def test_a_replica_measures_while_no_companion_tells(tmp_path, state):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "w.segment").write_bytes(b"x" * 1_048_576)
    if state != "none":
        write_use(tmp_path, DiskUse(Waiting(), 10))
    if state == "old":
        os.utime(tmp_path / "waiting.json", (0, 0))
    if state == "damaged":
        (tmp_path / "waiting.json").write_bytes(b"{")
    found = DiskUseReader(tmp_path, 2_000_000).read()
    assert (found.waiting.segments, found.max_bytes) == (1, 2_000_000)
    assert found.waiting.total_bytes >= 1_048_576
