"""A machine that logs decisions of a contextual bandit and their rewards, and a store that counts them."""

import random
from dataclasses import replace
from typing import NamedTuple

from bandits.linear.packed import pack
from gateway.control.log_verify import verify_log
from gateway.inference.contexts import encoder_of
from inference_log.files.directory import DirectoryFiles
from inference_log.record import Context, Reward, RewardContext
from router.document.apply import apply
from router.document.commands import Declare
from router.rewards.events import Operation
from router.spec.parse import parse_spec
from store.entry import Change, Entry
from tests.unit.gateway.control.support import NOON_US, Machine

LIFE_US = NOON_US - 10**10
ROUTE = {
    "route": "shop",
    "arms": {"a": "m:1", "b": "m:2"},
    "metrics": {
        "click": {"window": "10m", "default": 0.25, "aggregate": "sum"},
        "net": {"formula": "click - 0.2 * latency_ms", "range": [-1, 1]},
    },
    "bandit": {
        "policy": "linear-thompson", "reward": "click", "evaluate": "10%",
        "context": {"headers.x-device": ["phone", "desktop"], "parameters.age": {"from": 18, "to": 99}},
    },
}  # fmt: skip


class Decision(NamedTuple):
    """A decision that may get rewards."""

    id: str
    context: Context
    decided_us: int
    latency_us: int
    vector: bytes


class World:
    """A machine, a store that counts, and the route's document in several versions."""

    def __init__(self, root, store) -> None:
        self.root = root
        self.store = store
        self.machine = Machine(root, "w", self.store, piece_bytes=100_000)
        self.document = replace(apply(None, Declare(parse_spec(ROUTE), LIFE_US / 1e6)), declared_us=LIFE_US)
        self._write()
        self._dice = random.Random(7)  # noqa: S311  # no secret
        self._count = 0
        self.decisions: list[Decision] = []
        self._rewarded: dict[tuple[int, str], RewardContext] = {}

    def change(self, command) -> None:
        self.document = apply(self.document, command)
        self._write()

    def _write(self) -> None:
        self.store.compare_and_set([Entry(self.document, Change("ann", 0.0, "apply"))])

    def decide(self, count: int) -> None:
        spec, dice = self.document.spec, self._dice
        encoder = encoder_of(spec.bandit.context)
        contexts = {arm: self._context(arm) for arm in spec.arms}
        for _ in range(count):
            arm = dice.choice(list(spec.arms))
            context = contexts[arm]
            kind = dice.choice(
                [{}, {}, {"reason": "STICKY", "unit_hash": f"u{dice.randrange(9)}"}, {"outcome": "error"},
                 {"reason": "EVALUATED"}, {"batch_size": 3}, {"vector": b"\xff"}, {"vector": None}]
            )  # fmt: skip
            values = [dice.choice(["phone", "desktop", "watch", None]), dice.choice([None, dice.uniform(0, 120)])]
            vector = pack(encoder.encode(values[: len(spec.bandit.context)]))
            latency_us = dice.randrange(10_000)
            decided_us = NOON_US - dice.randrange(30) * 100_000_000 - dice.randrange(10**6)
            more = {"vector": vector, "latency_us": latency_us, "outputs": (), **kind}
            self.machine.append(context, decided_us + latency_us, **more)
            if more.get("outcome") != "error":
                decision = Decision(f"w-{self._count}", context, decided_us, latency_us, more["vector"] or b"")
                self.decisions.append(decision)
            self._count += 1

    def reward(self, count: int) -> None:
        for _ in range(count):
            of = self._dice.choice(self.decisions)
            context = self._rewarded[of.context.policy_version, of.context.arm]
            event, operation = self._dice.choice("ab"), self._dice.choice(list(Operation))
            value, late = self._dice.choice([0.0, 0.3, 1.0]), self._dice.random() < 0.1

            def entry(number: int, sequence: int, of=of, said=(event, operation, value, late)) -> Reward:
                return Reward(
                    number, sequence, of.id, of.decided_us, of.latency_us, 0.5, -1, "click", said[0], said[1],
                    of.decided_us + 5, said[2], NOON_US + sequence, said[3], "http", of.vector or None,
                )  # fmt: skip

            assert self.machine.writer.append(context, entry)
            self._count += 1

    def count(self, *, ships: bool) -> None:
        self.machine.counter.tick()
        if ships:
            self.machine.roll()

    def verify(self, at_s: float = NOON_US / 1e6):
        files = DirectoryFiles(self.root / "log")
        return verify_log(self.store, files, self.root / "spool", lambda _: None, lambda: at_s)

    def close(self) -> None:
        self.machine.writer.close()
        self.machine.seat.release()

    def _context(self, arm: str) -> Context:
        spec, weights = self.document.spec, {arm: 1 / len(self.document.spec.arms) for arm in self.document.spec.arms}
        made = Context(
            0, "shop", arm, "primary", "bandit", self.document.version, "abc", weights, "m", spec.arms[arm].version,
            "d", metrics=spec.metrics, maximised=spec.maximised,
        )  # fmt: skip
        of = "shop", LIFE_US, made.policy_version, arm, made.model_version, made.metrics, made.maximised
        self._rewarded[made.policy_version, arm] = RewardContext(0, *of)
        return made
