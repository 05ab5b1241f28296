"""Where guardrails compare the rewards of a bandit, decisions are weighed: live, in the log, and when rebuilt."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

import pytest

from gateway.control.log_verify import verify_log
from inference_log.files.directory import DirectoryFiles
from inference_log.record import Context, Record, Reward, RewardContext
from inference_log.request_slots import packer, placed
from router.document.apply import apply
from router.document.commands import Declare
from router.evidence.sums import group_of, spread, weighed
from router.rewards.events import Operation
from router.rewards.sums import MILLION, NO_GROUP, RewardKey, RewardSum
from router.spec.parse import parse_spec
from store.entry import Change, Entry
from store.sqlite.store import SQLiteStore
from tests.unit.gateway.control.support import NOON_US, Machine

LIFE_US = NOON_US - 10**9
ARMS = ("a", "b", "c")
SHARED = (5_000, 3_000, 2_000)
WEIGHTS = {"a": 0.5, "b": 0.3, "c": 0.2}
DECISIONS = 60


def declared(policy: str, **more):
    return parse_spec({
        "route": "shop", "arms": {arm: f"m:{n}" for n, arm in enumerate(ARMS, 1)}, "fallback": "a", "unit": "header:x",
        "metrics": {"click": {"window": "1h"}, "seen": {"window": "1h"},
                    "net": {"formula": "click - 0.001 * latency_ms", "range": [-1, 1]}},
        "bandit": {"policy": policy, "reward": "seen", **more},
        "guardrails": [{"reward": {"metric": name, "worse_by": "1%"}} for name in ("click", "net")],
    })  # fmt: skip


SPECS = {
    "shared": declared("thompson"),
    "by request": declared("linucb", context={"headers.x-device": ["phone", "desktop"]}),
}


class Shop:
    """Decisions of a route with their rewards, in a log, and a store that counts them."""

    def __init__(self, root, spec) -> None:
        self.root, self.spec, self.dice = root, spec, random.Random(3)  # noqa: S311  # a simulation
        self.store = SQLiteStore(root / "control.db", now=lambda: NOON_US / 1e6)
        document = replace(apply(None, Declare(spec)), declared_us=LIFE_US)
        self.store.compare_and_set([Entry(document, Change("ann", 0.0, "apply"))])
        self.machine = Machine(root, "w", self.store, piece_bytes=4000)
        self.made: list[tuple[str, tuple[int, ...], str | None, int, int, float]] = []

    def run(self) -> None:
        for number in range(DECISIONS):
            arm, event_us = self.dice.choice(ARMS), NOON_US + self.dice.randrange(3) * 70_000_000
            slots, unit = self._slots(), f"u{self.dice.randrange(5)}" if self.dice.random() < 0.8 else None
            latency_us, clicks = self.dice.randrange(900_000), self.dice.choice([None, 0.25, 1.0])
            sealed = packer(3)(slots)
            self._decide(number, arm, event_us, unit, latency_us, sealed)
            self.made.append((arm, slots, unit, event_us - latency_us, latency_us, clicks or 0.0))
            for value in () if clicks is None else (0.5, clicks):  # a value, then a correction
                self._reward(number, sealed, value, len(self.made))

    def _slots(self) -> tuple[int, ...]:
        if not self.spec.maximised:
            return SHARED
        return self.dice.choice([(9_000, 500, 500), (100, 9_900, 0), (0, 2_500, 7_500)])

    def _decide(self, number, arm, event_us, unit, latency_us, sealed) -> None:
        context = Context(
            0, "shop", arm, "primary", "bandit", 1, "hash", WEIGHTS,
            "m", "1", "d", metrics=self.spec.metrics, maximised=self.spec.maximised, trusted="a",
            weighed_metrics=self.spec.weighing.metrics,
        )  # fmt: skip
        self.machine.writer.append(
            context,
            lambda at, sequence: Record(
                at, sequence, f"d{number}", 0, event_us, "STICKY", 0.5, unit, 200, "ok", "", latency_us, 1, 1, "", "",
                slots=sealed if self.spec.maximised else None,
            ),
        )  # fmt: skip

    def _reward(self, number, sealed, value, at_us) -> None:
        arm, _, unit, decided_us, latency_us, _ = self.made[number]
        context = RewardContext(
            0, "shop", LIFE_US, 1, arm, "1", self.spec.metrics, self.spec.maximised, self.spec.weighing
        )
        group = NO_GROUP if unit is None else group_of(unit)
        self.machine.writer.append(
            context,
            lambda at, sequence: Reward(
                at, sequence, f"d{number}", decided_us, latency_us, 0.5, group, "click", "e", Operation.SET,
                NOON_US + sequence, value, NOON_US + at_us, False, "http", None, sealed,
            ),
        )  # fmt: skip

    def differences(self) -> Sequence[object]:
        files = DirectoryFiles(self.root / "log")
        return verify_log(self.store, files, self.root / "spool", lambda _: None).differences

    def weighed_sums(self) -> dict[RewardKey, RewardSum]:
        found = {
            **self.store.reward_sums("shop", 0, 0).totals,
            **self.store.reward_sums("shop", 0, 0, by_group=True).totals,
        }
        return {key: value for key, value in found.items() if key.metric not in ("click", "seen", "net")}


@pytest.fixture(params=SPECS)
def shop(tmp_path, request):
    made = Shop(tmp_path, SPECS[request.param])
    made.run()
    yield made
    made.machine.writer.close()
    made.machine.seat.release()
    made.store.close()


def expected(shop: Shop) -> dict[tuple[str, str, int], RewardSum]:
    """Return the sums of clicks by arm, name and group, computed from what was decided."""
    sums: dict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0] * 4)
    for arm, slots, unit, _, _, clicks in shop.made:
        of = dict(zip(ARMS, slots, strict=True))
        for other in ("a",) if arm != "a" else ("b", "c"):
            if not of[arm] or not of[other]:
                continue
            share = of[other] / (of[arm] + of[other])
            counted = [(weighed("click", other), share, NO_GROUP)]
            if unit is not None:
                counted.append((weighed("click", other), share, group_of(unit)))
                if shop.spec.maximised:
                    counted.append((spread("click", other), sqrt(share * (1 - share)), group_of(unit)))
            for name, part, group in counted:
                millionths = round(MILLION * part)
                adds = millionths, 0, int(millionths * clicks), int(millionths * clicks**2)
                known = sums[arm, name, group]
                sums[arm, name, group] = [one + more for one, more in zip(known, adds, strict=True)]
    return {key: RewardSum(*value) for key, value in sums.items()}


def test_each_decision_counts_by_the_weights_of_its_draw_with_its_last_value(shop):
    shop.machine.counter.tick()
    found = {(key.arm, key.metric, key.group): value for key, value in shop.weighed_sums().items()}
    assert {key: value for key, value in found.items() if key[1].startswith("click")} == expected(shop)
    assert any(key[1] == weighed("net", "a") for key in found)


def test_the_log_gives_the_same_sums_whether_it_is_parquet_or_not(shop):
    shop.machine.counter.tick()
    assert shop.weighed_sums()
    assert shop.differences() == []
    shop.machine.roll()
    assert shop.differences() == []


def test_slots_may_be_placed_in_another_order():
    assert placed(packer(2)([2_500, 7_500]), (1, None, 0)) == packer(3)([7_500, 0, 2_500])
