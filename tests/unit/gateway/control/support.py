"""Replicas that append, count and ship, and a store that fails or ends the process at a chosen step."""

import os
import random
import threading
from collections import Counter as Multiset
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gateway.control.log_counter import LogCounter
from inference_log.local_converter import LocalConverter
from inference_log.pieces import written_end
from inference_log.record import Comparison, Context, Record
from inference_log.segment import frame
from inference_log.ship import Shipper
from inference_log.sinks.directory import DirectorySink
from inference_log.spool import take_seat
from inference_log.writer import LogWriter
from router.evidence.sums import SumKey, Sums
from router.rewards.outcomes import DecisionKey
from router.rewards.sums import RewardKey, RewardSum, merge_sums
from store.errors import OutcomesChanged, StoreUnavailable
from store.rewarded import NO_REWARDS, Rewarded

NOON_US = 1_767_268_800_000_000
GOOD = (np.array([1], "<i8").tobytes(), np.array([0.25, 0.75], "<f4").tobytes())
GAP = (GOOD[0], np.array([0.25, np.nan], "<f4").tobytes())

# What is appended, and what each adds to the sums of its arm.
KINDS: tuple[tuple[str, dict[str, Any], dict[str, int]], ...] = (
    ("stable", {}, {"requests": 1}),
    ("stable", {"reason": "STICKY", "unit_hash": "u1"}, {"requests": 1}),
    ("canary", {"reason": "STICKY", "unit_hash": "u2", "outcome": "error", "outputs": ()},
     {"requests": 1, "errors": 1}),
    ("canary", {"latency_us": 60_000}, {"requests": 1, "slow:50000": 1}),
    ("canary", {"outcome": "error", "outputs": ()}, {"requests": 1, "errors": 1}),
    ("canary", {"outcome": "timeout", "latency_us": 90_000, "outputs": ()},
     {"requests": 1, "errors": 1, "slow:50000": 1}),
    ("canary", {"outputs": GAP}, {"requests": 1, "missing": 1}),
    ("canary", {"reason": "FORCED", "propensity": None, "outputs": GAP}, {}),
    ("canary", {"outcome": "error", "error_code": "ClientGone", "outputs": ()}, {"left": 1}),
    ("canary", {"outcome": "error", "error_code": "CancelledError", "latency_us": 70_000, "unit_hash": "u3",
                "outputs": ()}, {"left": 1, "slow:50000": 1}),
    ("fallback", {"attempt": 1, "reason": "FALLBACK"}, {}),
    ("shadow", {"attempt": 100, "reason": "SHADOW", "comparison": Comparison(2, 1, 500, 300, -7)},
     {"answers": 1, "compared": 1, "flips_millionths": 500_000, "pairs": 2, "difference": 500,
      "difference_squared": 300, "delay": -7, "delay_squared": 49}),
    ("shadow", {"attempt": 100, "reason": "SHADOW", "unit_hash": "u3", "comparison": Comparison(3, 1, 0, 0, 0)},
     {"answers": 1, "compared": 1, "flips_millionths": 333_333, "pairs": 3}),
    ("shadow", {"attempt": 100, "reason": "SHADOW", "outcome": "timeout", "outputs": ()}, {"failures": 1}),
)  # fmt: skip


def context_of(name: str, policy_version: int) -> Context:
    """Return what the log keeps once of the arms `stable` and `canary`, of a fallback and of a shadow."""
    role = name if name in ("fallback", "shadow") else "primary"
    return Context(
        0, "fraud", name, role, "split", policy_version, "abc", {"stable": 0.9, "canary": 0.1}, "fraud", "2", "d" * 64,
        label=(0, "<i8"), prediction=(1, "<f4"), slower_than_us=(50_000,), against="stable" if role == "shadow" else "",
    )  # fmt: skip


def make_record(number: int, sequence: int, decision_id: str, event_us: int, **changes: Any) -> Record:
    """Return a record that was drawn and answered, with the given changes."""
    values: dict[str, Any] = {
        "attempt": 0, "reason": "WEIGHTED", "propensity": 0.5, "unit_hash": None, "status": 200, "outcome": "ok",
        "error_code": "", "latency_us": 1500, "model_us": 250, "batch_size": 1, "request_id": "", "trace_id": "",
        "inputs": (), "outputs": GOOD,
    }  # fmt: skip
    return Record(number, sequence, decision_id, event_us=event_us, **{**values, **changes})


class Killed(BaseException):
    """Stands for `kill -9`: nothing catches it."""


class MemorySums:
    """The part of a store that counts, in memory. `before_write` and `after_write` may raise."""

    def __init__(self) -> None:
        self.ends: dict[str, int] = {}
        self.added: Multiset[SumKey] = Multiset()
        self.rewards: dict[str, dict[RewardKey, RewardSum]] = {}
        self.kept: dict[DecisionKey, bytes] = {}
        self.asked: list[str] = []
        self.before_write: Callable[[], None] = lambda: None
        self.after_write: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def count(
        self, source: str, before: int, after: int, added: Mapping[str, Sums], rewarded: Rewarded = NO_REWARDS
    ) -> int:
        """See `Store.count`."""
        return self.count_all({source: (before, after)}, added, rewarded)[source]

    def count_all(
        self, ranges: Mapping[str, tuple[int, int]], added: Mapping[str, Sums], rewarded: Rewarded = NO_REWARDS
    ) -> Mapping[str, int]:
        """See `Store.count_all`."""
        self.asked.append("count")
        self.before_write()
        with self._lock:
            ends = {source: self.ends.get(source, 0) for source in ranges}
            if all(ends[source] == before for source, (before, _) in ranges.items()):
                if any(self.kept.get(each.key, b"") != each.before for each in rewarded.outcomes):
                    raise OutcomesChanged
                self.kept |= {each.key: each.after for each in rewarded.outcomes}
                self.rewards = merge_sums(self.rewards, rewarded.sums)
                ends = {source: after for source, (_, after) in ranges.items()}
                self.ends |= ends
                for sums in added.values():
                    self.added.update(sums)
        self.after_write()
        return ends

    def outcomes(self, keys: Sequence[DecisionKey]) -> Sequence[bytes]:
        """See `Store.outcomes`."""
        self.asked.append("outcomes")
        return [self.kept.get(key, b"") for key in keys]

    def counted(self, source: str) -> int:
        """See `Store.counted`."""
        self.asked.append("counted")
        self.before_write()
        return self.ends.get(source, 0)

    def forget_source(self, source: str) -> None:
        """See `Store.forget_source`."""
        self.asked.append("forget_source")
        self.before_write()
        self.ends.pop(source, None)
        self.after_write()


class MortalSink(DirectorySink):
    """A directory; the process may end before and after a file is in place."""

    def __init__(self, root: Path, at_step: Callable[[], None]) -> None:
        super().__init__(root)
        self._at_step = at_step

    def put(self, key: str, staged: Path, segment_sha256: str) -> bool:
        """See `Sink.put`."""
        self._at_step()
        stored = super().put(key, staged, segment_sha256)
        self._at_step()
        return stored


class Machine:
    """One replica's process: a seat, a writer, a counter and a shipper. `at_step` may kill it between two steps."""

    def __init__(
        self,
        root: Path,
        name: str,
        store: Any,
        at_step: Callable[[], None] = lambda: None,
        piece_bytes: int = 4 * 1024 * 1024,
    ) -> None:
        self.seat = take_seat(root / "spool")
        self.writer = LogWriter(self.seat.folder, name)
        self.spool = root / "spool"
        self.counter = LogCounter(store, self.spool, piece_bytes)
        self._at_step = at_step
        self.shipper = Shipper(
            self.spool,
            LocalConverter(MortalSink(root / "log", at_step)),
            may_delete=self._may_delete,
            deleted=self._deleted,
        )

    def append(self, context: Context, event_us: int, **changes: Any) -> None:
        """Append one record, as the request path does."""
        name = self.writer.writer_id
        assert self.writer.append(
            context, lambda number, sequence: make_record(number, sequence, f"{name}-{sequence}", event_us, **changes)
        )

    def begin_a_frame(self, share: float) -> None:
        """Write the first part of the next frame into the active segment, as an interrupted writer does."""
        if self.writer.active_path is not None:
            content = frame(make_record(0, 0, "torn", NOON_US))
            with self.writer.active_path.open("r+b") as file:
                file.seek(written_end(self.writer.active_path))
                file.write(content[: int(len(content) * share)])

    def roll(self) -> None:
        """Close the active segment and ship what is there."""
        self.writer.rotate(0.0, 0)
        self.shipper.tick()

    def die(self) -> None:
        """Let go of what the operating system takes from a process that ends: its locks."""
        self.seat.release()
        for segment in (*self.writer._full, self.writer._active):
            if segment is not None:
                segment._map.close()
                os.close(segment.fd)

    def _may_delete(self, path: Path) -> bool:
        self._at_step()
        may = self.counter.finish(path)
        self._at_step()
        return may

    def _deleted(self, path: Path) -> None:
        self._at_step()
        self.counter.deleted(path)
        self._at_step()


class Fate:
    """Decides by a seed what happens next: a lost reply, a store that is away, a kill."""

    def __init__(self, seed: int, may_kill: bool = True) -> None:
        self.dice = random.Random(seed)  # noqa: S311  # a test that can be repeated
        self.calm = False
        self._may_kill = may_kill

    def strike(self) -> None:
        """Sometimes raise."""
        if self.calm:
            return
        draw = self.dice.random()
        if draw < 0.12:
            raise StoreUnavailable("The store does not answer.")
        if draw < 0.2:
            self.kill()

    def kill(self) -> None:
        """Sometimes end the process."""
        if not self.calm and self._may_kill and self.dice.random() < 0.3:
            raise Killed
