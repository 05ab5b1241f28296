"""A companion's intake of rewards over a real log and a store in a file, with a clock that the test moves."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gateway.companion.rewards.committer import RewardCommitter
from gateway.companion.rewards.documents import RewardDocuments
from gateway.companion.rewards.intake import Intake
from gateway.companion.rewards.judge import Judge
from gateway.companion.rewards.messages import Answered, Asked, Outcome
from gateway.companion.rewards.results import RewardResults
from gateway.control.last_known import StoreState
from gateway.control.log_counter import LogCounter
from gateway.inference.decision_token import Decision, seal
from gateway.inference.token_keys import TokenKey, TokenKeys
from inference_log.record import Reward
from inference_log.segment import read_segment
from inference_log.spool import all_segments
from inference_log.writer import LogWriter
from router.document.apply import apply
from router.document.commands import Declare
from router.document.document import Document
from router.spec.parse import parse_spec
from store.entry import Change, Entry
from store.interface import Store

NOON_US = 1_796_040_000_000_000
"""2026-11-30T12:00:00Z."""
LIFE_US = NOON_US - 86_400_000_000
METRICS: dict[str, Any] = {
    "click": {"window": "1h"},
    "revenue": {"range": [0, 500], "window": "7d", "aggregate": "sum"},
    "net": {"formula": "revenue - 0.1 * latency_ms", "range": [-100, 500]},
    "was": {"label": True, "window": "30d"},
}
KEYS = TokenKeys([TokenKey(b"\0\0\0\1", b"k" * 32)], b"\0\0\0\1")


def document(route: str = "fraud", **spec: Any) -> Document:
    """Return the first version of a route with metrics."""
    declared = {
        "route": route,
        "arms": {"stable": "fraud:1", "canary": "fraud:2"},
        "split": {"stable": "90%", "canary": "10%"},
        "metrics": METRICS,
        **spec,
    }
    return replace(apply(None, Declare(parse_spec(declared))), declared_us=LIFE_US)


def write(store: Store, *documents: Document) -> None:
    """Write documents into a store."""
    store.compare_and_set([Entry(each, Change("ann", 0.0, "apply")) for each in documents])


def decision(number: int = 1, **changes: Any) -> Decision:
    """Return a decision that was made at noon."""
    made = Decision(f"{number:024x}", "fraud", LIFE_US, 1, "canary", 0.1, NOON_US, 2000, -1)
    return made._replace(**changes)


def token(number: int = 1, **changes: Any) -> str:
    """Return the token of such a decision."""
    return seal(decision(number, **changes), KEYS)


def reward(number: int = 1, metric: str = "click", value: object = 1, **more: Any) -> dict[str, Any]:
    """Return a reward of a decision, as JSON has it."""
    return {"decision": token(number), "metric": metric, "value": value, **more}


class Taken:
    """An intake. `now_us` is its wall clock and `clock_s` its other clock. `store` may be anything that counts."""

    def __init__(self, spool: Path, store: Any, writer_id: str = "here-rewards-1", max_bytes: int = 1 << 26) -> None:
        folder = spool / "companion"
        folder.mkdir(parents=True, exist_ok=True)
        self.spool, self.store = spool, store
        self.now_us, self.clock_s, self.trouble = NOON_US + 60_000_000, 0.0, ""
        self.view = SimpleNamespace(state=StoreState())
        self.writer = LogWriter(folder, writer_id, max_bytes)
        results = RewardResults(writer_id)
        self.counter = LogCounter(store, spool, settled=results.settled)
        self.documents = RewardDocuments(store, self.view)
        keys: Any = SimpleNamespace(current=KEYS)
        self.intake = Intake(
            Judge(self.documents, keys),
            RewardCommitter(self.writer, self.counter, results, lambda: self.clock_s),
            lambda: self.trouble,
            now_us=lambda: self.now_us,
            clock_s=lambda: self.clock_s,
        )

    def look(self) -> None:
        """Read the store, as the companion does every second."""
        entries = {route: self.store.read(route) for route in self.store.routes()}
        self.view.state = StoreState(self.store.revision(), entries)

    def ask(self, body: bytes, routes: Sequence[str] | None = None) -> Answered:
        """Return the answer to a body."""
        return self.intake.answer(Asked("http", None if routes is None else tuple(routes), body))

    def send(self, *rewards: dict[str, Any], routes: Sequence[str] | None = None) -> list[dict[str, str]]:
        """Return what became of rewards, each with `result` and `error`."""
        answered = self.ask(json.dumps({"rewards": rewards}).encode(), routes)
        assert answered.outcome is Outcome.RESULTS, answered
        results: list[dict[str, str]] = json.loads(answered.content)["results"]
        return results

    def logged(self) -> list[Reward]:
        """Return the rewards in the log."""
        found = []
        for path in all_segments(self.spool):
            segment = read_segment(path.read_bytes())
            assert segment is not None
            found += segment.rewards
        return found


def words(results: Sequence[dict[str, str]]) -> list[str]:
    """Return the results without sentences."""
    return [each["result"] for each in results]


def sums(store: Any, route: str = "fraud") -> dict[tuple[str, str], tuple[int, int, int]]:
    """Return of each arm and metric how many decisions are rewarded, and the two sums."""
    totals = store.reward_sums(route, 0, NOON_US // 1_000_000).totals
    return {(key.arm, key.metric): (one.rewarded, one.total, one.squares) for key, one in totals.items()}
