"""Rewards in the SQLite store alone: what is deleted when, and in how few steps."""

import sqlite3
from collections.abc import Iterator

import pytest

from router.rewards.buckets import BUCKETS_KEPT, LENGTHS_S
from router.rewards.outcomes import KEPT_AT_LEAST_S
from store.counted import VERSIONS_READ
from store.interface import Rewarded
from store.sqlite import rewards as statements
from store.sqlite.store import SQLiteStore
from tests.support.rewards import NOW_S, changed, clicks, decision, reward_key, rewarded


class Clock:
    def __init__(self) -> None:
        self.now_s = float(NOW_S)

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path, clock) -> Iterator[SQLiteStore]:
    made = SQLiteStore(tmp_path / "control.db", now=clock)
    yield made
    made.close()


def rows(store: SQLiteStore, table: str, condition: str = "TRUE") -> int:
    return store._query_number(f"SELECT COUNT(*) FROM {table} WHERE {condition}")


def test_buckets_of_each_length_are_deleted_in_their_time(store, clock):
    added = {
        reward_key(NOW_S // length_s * length_s, group=group, length_s=length_s): clicks(1)
        for length_s in LENGTHS_S
        for group in (-1, 0, 63)
    }
    store.count("segment", 0, 1, {}, Rewarded({"fraud": added, "churn": added}))
    for number, length_s in enumerate(LENGTHS_S):
        clock.now_s = NOW_S + (BUCKETS_KEPT + 1) * length_s
        store.count("segment", number + 1, number + 2, {})
        for by_group in (False, True):
            totals, recent = store.reward_sums("churn", 1, 0, by_group=by_group)
            assert sorted({key.length_s for key in recent}) == list(LENGTHS_S[number + 1 :])
            assert {key.length_s for key in totals} == {*LENGTHS_S}


def test_old_buckets_are_not_looked_for_at_every_count(store, clock):
    store.count("segment", 0, 1, {}, Rewarded({"fraud": {reward_key(NOW_S): clicks(1)}}))
    clock.now_s += BUCKETS_KEPT * 10 + 5
    store.count("segment", 1, 2, {}, Rewarded({"fraud": {reward_key(NOW_S): clicks(1)}}))
    clock.now_s += 30
    store.count("segment", 2, 3, {}, Rewarded({"fraud": {reward_key(NOW_S): clicks(1)}}))
    assert rows(store, "reward_sums", "bucket_s > 0") == 1  # it was added after the deletion
    clock.now_s += 31
    store.count("segment", 3, 4, {})
    assert rows(store, "reward_sums", "bucket_s > 0") == 0


def test_totals_of_old_policy_versions_are_deleted(store, clock):
    versions = range(1, 2 * VERSIONS_READ + 20, 2)
    added = {reward_key(NOW_S, version, group): clicks(1) for version in versions for group in (-1, 5)}
    store.count("segment", 0, 1, {}, Rewarded({"fraud": added}))
    clock.now_s += 61
    store.count("segment", 1, 2, {})
    assert rows(store, "reward_sums", "bucket_s = 0") == 2 * VERSIONS_READ
    assert rows(store, "reward_sums", f"bucket_s = 0 AND policy_version < {versions[-VERSIONS_READ]}") == 0


def test_outcomes_are_deleted_after_their_time(store, clock):
    store.count("segment", 0, 1, {}, Rewarded(outcomes=[changed(1, b"", b"one", NOW_S + 1000)]))
    clock.now_s += 1000
    store.count("segment", 1, 2, {})
    assert list(store.outcomes([decision(1)])) == [b"one"]
    clock.now_s += 1
    store.count("segment", 2, 3, {})
    assert list(store.outcomes([decision(1)])) == [b""]
    assert store.count("segment", 3, 4, {}, rewarded(1, b"", b"again")) == 4


def test_outcomes_whose_window_is_over_are_kept_for_a_while(store, clock):
    store.count("segment", 0, 1, {}, Rewarded(outcomes=[changed(1, b"", b"one", NOW_S - 9000)]))
    clock.now_s += KEPT_AT_LEAST_S
    store.count("segment", 1, 2, {})
    assert list(store.outcomes([decision(1)])) == [b"one"]
    clock.now_s += 1
    store.count("segment", 2, 3, {})
    assert list(store.outcomes([decision(1)])) == [b""]


def test_no_count_deletes_many_more_outcomes_than_it_writes(store, clock):
    old = [changed(number, b"", b"old", NOW_S + 1000) for number in range(1000)]
    store.count("segment", 0, 1, {}, Rewarded(outcomes=old))
    clock.now_s += 2000
    store.count("segment", 1, 2, {}, Rewarded(outcomes=[changed(n, b"", b"new") for n in range(2000, 2050)]))
    assert rows(store, "outcomes", "content = x'6f6c64'") == 800
    for end in range(2, 10):
        store.count("segment", end, end + 1, {})
    assert rows(store, "outcomes") == 50


def test_outcomes_are_read_while_another_process_writes(tmp_path):
    store = SQLiteStore(tmp_path / "control.db", busy_timeout_s=0.01)
    store.count("segment", 0, 1, {}, rewarded(1, b"", b"one"))
    other = sqlite3.connect(tmp_path / "control.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert list(store.outcomes([decision(1)])) == [b"one"]
    assert store.reward_sums("fraud", 1, 0).totals == {reward_key(0): clicks(1)}
    other.execute("ROLLBACK")
    other.close()
    store.close()


@pytest.mark.parametrize(
    ("statement", "arguments", "columns"),
    [
        (statements._RECENT[False], ("f", 1, 1), "route=? AND unit_group=? AND length_s=? AND bucket_s>?"),
        (statements._RECENT[True], ("f", 1, 1), "route=? AND unit_group=? AND length_s=? AND bucket_s>?"),
        (statements._TOTALS[False], ("f", 1), "route=? AND unit_group=? AND length_s=? AND bucket_s=? AND policy_vers"),
        (statements._DELETE_BUCKETS, ("f", 10, NOW_S), "route=? AND unit_group=? AND length_s=? AND bucket_s>? AND"),
        (statements._DELETE_OUTCOMES, (1, 1), "USING COVERING INDEX outcomes_by_end (kept_until_s<?)"),
        (statements._OUTCOMES, ("[]",), "route=? AND declared_us=? AND decision_id=?"),
    ],
)
def test_statements_look_only_at_what_they_need(store, statement, arguments, columns):
    plan = store._query(f"EXPLAIN QUERY PLAN {statement}", *arguments)
    assert any(columns in step[3] for step in plan)
    assert not any(step[3].startswith(("SCAN reward_sums", "SCAN outcomes")) for step in plan)
