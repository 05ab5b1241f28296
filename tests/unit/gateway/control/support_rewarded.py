"""A machine that appends decisions and rewards of one route, and a store that counts them."""

import random
from dataclasses import replace

import msgspec

from gateway.control.log_verify import verify_log
from inference_log.files.directory import DirectoryFiles
from inference_log.record import Reward, RewardContext
from router.document.apply import apply
from router.document.commands import Declare
from router.rewards.events import Operation
from router.spec.parse import parse_spec
from tests.unit.gateway.control.support import NOON_US, Machine, context_of

LIFE_US = NOON_US - 10**9
METRICS = {
    "click": {"window": "1h"},
    "revenue": {"range": [-2, 500], "window": "7d", "aggregate": "sum", "default": 1},
    "net": {"formula": "revenue - 0.1 * latency_ms", "range": [-100, 500]},
    "was": {"label": True, "window": "30d"},
}


def document():
    declared = {
        "route": "fraud", "arms": {"stable": "fraud:1", "canary": "fraud:2"},
        "split": {"stable": "90%", "canary": "10%"}, "metrics": METRICS,
    }  # fmt: skip
    return replace(apply(None, Declare(parse_spec(declared))), declared_us=LIFE_US)


SPECS = document().spec.metrics


class World:
    """A machine that appends decisions and rewards, and a store that counts them."""

    def __init__(self, root, store) -> None:
        self.root, self.store = root, store
        self.machine = Machine(root, "w", store, piece_bytes=4000)
        self._dice = random.Random(7)  # noqa: S311  # no secret
        self._decisions: list[tuple] = []

    def decide(self, count: int) -> None:
        for _ in range(count):
            arm = self._dice.choice(["stable", "canary"])
            context = context_of(arm, 1)
            kind = self._dice.choice(
                [{}, {"reason": "STICKY", "unit_hash": f"u{self._dice.randrange(9)}"}, {"outcome": "error"},
                 {"reason": "FORCED", "propensity": None}, {"latency_us": self._dice.randrange(10**6)},
                 {"outcome": "error", "error_code": "ClientGone"}, {"batch_size": 3}]
            )  # fmt: skip
            event_us = NOON_US + self._dice.randrange(3) * 40_000_000_000
            number = len(self._decisions)
            self.machine.append(with_metrics(context), event_us, **kind)
            drawn = kind.get("reason") != "FORCED"
            self._decisions.append((f"w-{number}", arm, event_us, kind.get("latency_us", 1500), drawn))

    def reward(self, count: int) -> None:
        for _ in range(count):
            decision_id, arm, event_us, latency_us, drawn = self._dice.choice(self._decisions)
            name = self._dice.choice(["click", "revenue", "was"])
            said = {
                "metric": name, "event": self._dice.choice("ab"), "operation": self._dice.choice(list(Operation)),
                "event_us": event_us + self._dice.randrange(5),
                "value": "yes" if name == "was" else self._dice.choice([0.0, 0.5, 1.0]),
            }  # fmt: skip
            context = RewardContext(0, "fraud", LIFE_US, 1, arm, "2", SPECS)
            decided = event_us - latency_us, latency_us, 0.5 if drawn else None, self._dice.choice([-1, 3])
            late = self._dice.random() < 0.1

            def entry(number: int, sequence: int, said=said, decided=decided, late=late, of=decision_id) -> Reward:
                return Reward(
                    number, sequence, of, *decided, said["metric"], said["event"], said["operation"], said["event_us"],
                    said["value"], NOON_US + sequence, late, "http",
                )  # fmt: skip

            assert self.machine.writer.append(context, entry)

    def verify(self):
        return verify_log(self.store, DirectoryFiles(self.root / "log"), self.root / "spool", lambda _: None)


def with_metrics(context):
    return msgspec.structs.replace(context, metrics=SPECS)
