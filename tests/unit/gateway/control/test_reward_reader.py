"""Sums of rewards that are read in part come to the same as those that are read whole."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gateway.control.reward_reader import REWARDS_BY_GROUP_EVERY_S, RewardReader
from router.document.apply import apply
from router.document.commands import Declare
from router.evidence.reward_counts import RewardCounts
from router.rewards.sums import MILLION, RewardKey, RewardSum
from router.spec.parse import parse_spec
from store.open import open_store
from store.rewarded import ReadRewards, Rewarded

T0, LENGTH_S, WINDOW_S = 1_800_000_000, 10, 60
SPEC = {
    "route": "s",
    "unit": "header:x-user",
    "arms": {"stable": "m:1", "b": "m:2"},
    "split": {"stable": "50%", "b": "50%"},
    "fallback": "stable",
    "metrics": {"click": {"window": "1m"}},
    "guardrails": [{"reward": {"metric": "click", "worse_by": "2%"}}],
}
DOCUMENT = apply(None, Declare(parse_spec(SPEC), float(T0)))


class Counting:
    """A store that notes from when on sums are read."""

    def __init__(self, store: Any) -> None:
        self.store, self.since_s, self.buckets = store, list[int](), list[int]()
        self._ends = 0

    def reward_sums(self, route: str, version: int, since_s: int, *, by_group: bool = False) -> ReadRewards:
        self.since_s.append(since_s)
        read: ReadRewards = self.store.reward_sums(route, version, since_s, by_group=by_group)
        self.buckets.append(len({key.bucket_s for key in read.recent}))
        return read

    def add(self, bucket_s: int, arm: str, group: int, more: RewardSum) -> None:
        key = RewardKey(bucket_s, LENGTH_S, 1, arm, {"stable": "1", "b": "2"}[arm], "click")
        sums = dict.fromkeys((key, key._replace(group=group)), more)
        self._ends = self.store.count("segment", self._ends, self._ends + 1, {}, Rewarded({"s": sums}))


@pytest.fixture
def store(tmp_path):
    made = open_store(f"sqlite:///{tmp_path / 'pointsman.db'}")
    yield Counting(made)
    made.close()


def same(one: RewardCounts, other: RewardCounts) -> bool:
    groups = [(one.group_totals, other.group_totals), (one.group_recent, other.group_recent)]
    return (
        one[:2] == other[:2]
        and one[4:] == other[4:]
        and all(a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a) for a, b in groups)
    )


def test_what_is_read_in_part_is_what_is_read_whole(store):
    dice, reader = random.Random(1), RewardReader(store)  # noqa: S311  # a test that can be repeated
    for step in range(200):
        now_s = T0 + LENGTH_S * (step + 1)
        store.add(T0 + LENGTH_S * step, "b" if step % 2 else "stable", step % 3, RewardSum(10, 0, 0, 0))
        rewarded_s = max(T0, now_s - LENGTH_S - dice.randrange(WINDOW_S) // LENGTH_S * LENGTH_S)
        store.add(rewarded_s, "b", step % 5, RewardSum(0, 1, MILLION, MILLION))
        if step % int(REWARDS_BY_GROUP_EVERY_S // LENGTH_S) == 0:  # those by group are read now
            assert same(reader.counts(DOCUMENT, now_s)["click"], RewardReader(store).counts(DOCUMENT, now_s)["click"])
            assert max(store.buckets[-4:-2]) <= 40
    assert max(store.buckets) == 199  # each time, the new reader has read all


def test_what_was_counted_after_an_outage_is_read(store):
    """Without it a silence of that time would not be seen, and its decisions be held against the arm."""
    reader, now_s = RewardReader(store), T0 + 5000.0
    store.add(int(now_s) - 100, "b", 1, RewardSum(10, 5, 5 * MILLION, 5 * MILLION))
    reader.counts(DOCUMENT, now_s)
    for number in range(50):
        store.add(T0 + LENGTH_S * number, "b", 1, RewardSum(10, 5, 5 * MILLION, 5 * MILLION))
    now_s += 10.0
    assert same(reader.counts(DOCUMENT, now_s)["click"], RewardReader(store).counts(DOCUMENT, now_s)["click"])


def test_another_trial_and_a_store_that_lost_sums_are_read_whole(store):
    reader = RewardReader(store)
    for number, document in enumerate([DOCUMENT, DOCUMENT, replace(DOCUMENT, trial_version=2)]):
        reader.counts(document, T0 + 1000.0 * number)
    assert [since_s == 0 for since_s in store.since_s] == [True, True, False, False, True, True]
    reader.forget("s")
    reader.counts(DOCUMENT, T0 + 4000.0)
    reader.forget_all()
    reader.counts(DOCUMENT, T0 + 5000.0)
    assert store.since_s[-4:] == [0] * 4


def test_buckets_that_the_store_has_no_more_are_dropped(store):
    reader = RewardReader(store)
    store.add(T0, "b", 1, RewardSum(1, 1, MILLION, MILLION))
    assert reader.counts(DOCUMENT, T0 + 1000.0)["click"].recent
    assert not reader.counts(DOCUMENT, T0 + 6000.0)["click"].recent
