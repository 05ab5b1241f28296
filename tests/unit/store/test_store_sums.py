"""The specification of a store: sums. Each range of each source is counted once."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from router.evidence.sums import SumKey
from store.codec import LARGEST_SUM
from store.counted import VERSIONS_READ
from tests.support.documents import sum_key

NOW_S = 1_800_000_000
THREADS, RANGES = 8, 20


def test_nothing_is_counted_at_first(store):
    assert store.counted("segment") == 0
    assert dict(store.sums("fraud", 1)) == {}
    assert dict(store.recent_sums("fraud", 0)) == {}


def test_what_is_counted_is_in_its_bucket_and_in_the_sum_over_all_time(kind, store):
    early, late, bad = sum_key(NOW_S), sum_key(NOW_S + 10), sum_key(NOW_S, name="errors")
    assert store.count("segment", 0, 100, {"fraud": {early: 3, late: 4, bad: 1}}) == 100
    assert store.count("segment", 100, 250, {"fraud": {late: 5}, "churn": {early: 1}}) == 250
    for reader in (store, kind.open()):
        assert reader.counted("segment") == 250
        assert dict(reader.recent_sums("fraud", NOW_S)) == {early: 3, bad: 1, late: 9}
        assert dict(reader.recent_sums("fraud", NOW_S + 1)) == {late: 9}
        assert dict(reader.recent_sums("fraud", NOW_S + 11)) == {}
        assert dict(reader.sums("fraud", 1)) == {sum_key(0): 12, sum_key(0, name="errors"): 1}
        assert dict(reader.sums("churn", 1)) == {sum_key(0): 1}


def test_routes_that_were_counted_since_are_told(kind, store):
    assert store.counted_since(0) == (0, frozenset())
    store.count("segment", 0, 100, {"fraud": {sum_key(NOW_S): 3}, "churn": {sum_key(NOW_S): 1}})
    first = store.counted_since(0)
    assert first.routes == {"fraud", "churn"}
    assert store.counted_since(first.number) == (first.number, frozenset())
    store.count("segment", 100, 150, {"fraud": {sum_key(0): 1}, "idle": {}})
    store.count("segment", 0, 100, {"churn": {sum_key(0): 1}})  # was counted before
    other = kind.open()
    second = other.counted_since(first.number)
    assert second.routes == {"fraud"}
    assert second.number > first.number
    other.count("other", 0, 9, {"churn": {sum_key(0): 1}})
    assert store.counted_since(second.number).routes == {"churn"}
    assert store.counted_since(0).routes == {"fraud", "churn"}
    newest = store.counted_since(0).number
    assert store.counted_since(second.number, ["fraud", "churn", "never"]) == (newest, {"churn"})
    assert store.counted_since(0, ["fraud"]) == (newest, {"fraud"})
    assert store.counted_since(0, []) == (newest, frozenset())


def test_every_part_of_a_key_keeps_sums_apart(store):
    key = SumKey(NOW_S, 3, "canary", "17", "", "requests")
    others = [
        key._replace(policy_version=4),
        key._replace(arm="stable"),
        key._replace(model_version="naïve · 17"),
        key._replace(against="stable"),
        key._replace(name="slow:50000"),
        key._replace(against_version="18"),
    ]
    sums = {each: number for number, each in enumerate([key, *others], 1)}
    store.count("segment", 0, 10, {"fraud": sums})
    assert dict(store.recent_sums("fraud", NOW_S)) == sums
    assert dict(store.sums("fraud", 3)) == {each._replace(bucket_s=0): value for each, value in sums.items()}


def test_what_is_counted_without_a_bucket_is_in_the_sum_over_all_time_once(store):
    store.count("segment", 0, 10, {"fraud": {sum_key(0): 3}})
    assert dict(store.sums("fraud", 1)) == {sum_key(0): 3}
    assert dict(store.recent_sums("fraud", 0)) == {}


@pytest.mark.parametrize(("before", "after"), [(0, 100), (0, 50), (50, 100), (99, 150), (101, 150)])
def test_a_range_that_does_not_begin_where_the_last_one_ended_is_not_counted(store, before, after):
    store.count("segment", 0, 100, {"fraud": {sum_key(NOW_S): 3}})
    assert store.count("segment", before, after, {"fraud": {sum_key(NOW_S): 1000}}) == 100
    assert store.counted("segment") == 100
    assert dict(store.sums("fraud", 1)) == {sum_key(0): 3}
    assert dict(store.recent_sums("fraud", 0)) == {sum_key(NOW_S): 3}


def test_a_new_source_begins_at_nought(store):
    assert store.count("segment", 10, 20, {"fraud": {sum_key(NOW_S): 3}}) == 0
    assert dict(store.sums("fraud", 1)) == {}


def test_sources_do_not_touch_each_other(store):
    store.count("one", 0, 100, {"fraud": {sum_key(NOW_S): 3}})
    store.count("two", 0, 70, {"fraud": {sum_key(NOW_S): 4}})
    store.forget_source("one")
    assert (store.counted("one"), store.counted("two")) == (0, 70)
    assert dict(store.sums("fraud", 1)) == {sum_key(0): 7}


def test_a_range_may_hold_nothing_to_count(store):
    assert store.count("segment", 0, 100, {}) == 100
    assert store.count("segment", 100, 200, {"fraud": {}}) == 200
    assert store.counted("segment") == 200
    assert dict(store.sums("fraud", 1)) == {}


def test_ranges_of_several_sources_are_counted_together_or_not_at_all(kind, store):
    assert store.count_all({"one": (0, 100), "two": (0, 70)}, {"fraud": {sum_key(0): 3}}) == {"one": 100, "two": 70}
    assert store.count_all({"one": (100, 150), "two": (60, 90)}, {"fraud": {sum_key(0): 9}}) == {"one": 100, "two": 70}
    more = {"one": (100, 150), "two": (70, 90), "three": (0, 5)}
    assert kind.open().count_all(more, {"fraud": {sum_key(0): 2}}) == {"one": 150, "two": 90, "three": 5}
    assert store.counted_each(["one", "two", "three"]) == {"one": 150, "two": 90, "three": 5}
    assert dict(store.sums("fraud", 1)) == {sum_key(0): 5}


def test_an_unknown_source_may_be_forgotten(store):
    store.forget_source("never seen")
    assert store.counted("never seen") == 0


def test_sums_may_fall(store):
    store.count("segment", 0, 10, {"fraud": {sum_key(NOW_S, name="delay"): 5}})
    store.count("segment", 10, 20, {"fraud": {sum_key(NOW_S, name="delay"): -12}})
    assert dict(store.sums("fraud", 1)) == {sum_key(0, name="delay"): -7}


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_stops_at_the_largest_number_and_the_others_go_on(store, sign):
    large, small = sum_key(NOW_S, name="delay_squared"), sum_key(NOW_S)
    store.count("segment", 0, 10, {"fraud": {large: sign * (LARGEST_SUM - 1), small: 1}})
    assert store.sums("fraud", 1)[large._replace(bucket_s=0)] == sign * (LARGEST_SUM - 1)
    assert store.count("segment", 10, 20, {"fraud": {large: sign * 5, small: 1}}) == 20
    assert store.count("segment", 20, 30, {"fraud": {large: sign * 10**30, small: 1}}) == 30
    assert dict(store.recent_sums("fraud", 0)) == {large: sign * LARGEST_SUM, small: 3}
    assert store.sums("fraud", 1) == {large._replace(bucket_s=0): sign * LARGEST_SUM, small._replace(bucket_s=0): 3}


def test_sums_are_given_from_a_policy_version_on(store):
    store.count("segment", 0, 10, {"fraud": {sum_key(NOW_S, version): version for version in (1, 2, 9, 10, 11)}})
    assert dict(store.sums("fraud", 9)) == {sum_key(0, 9): 9, sum_key(0, 10): 10, sum_key(0, 11): 11}
    assert dict(store.sums("fraud", 12)) == {}


def test_sums_are_given_of_the_newest_policy_versions_only(store):
    versions = range(1, VERSIONS_READ + 6)
    store.count("segment", 0, 10, {"fraud": {sum_key(NOW_S, version): 1 for version in versions}})
    assert sorted(key.policy_version for key in store.sums("fraud", 1)) == list(versions)[-VERSIONS_READ:]


def test_of_many_that_count_the_same_ranges_one_counts_each(kind):
    stores = [kind.open() for _ in range(THREADS)]
    barrier = threading.Barrier(THREADS)
    ends: list[int] = []

    def count(store) -> None:
        barrier.wait()
        end = 0
        while end < RANGES:
            end = store.count("segment", end, end + 1, {"fraud": {sum_key(NOW_S): 10**end % 1_000_003}})
        ends.append(end)

    threads = [threading.Thread(target=count, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == [RANGES] * THREADS
    expected = sum(10**number % 1_000_003 for number in range(RANGES))
    assert dict(kind.open().sums("fraud", 1)) == {sum_key(0): expected}
    assert dict(kind.open().recent_sums("fraud", 0)) == {sum_key(NOW_S): expected}


GROUPS_SEEN = (0, 7, 63)


def group_keys(bucket_s: int, policy_version: int = 1) -> dict[SumKey, int]:
    """Return a sum of each of some groups."""
    return {sum_key(bucket_s, policy_version)._replace(group=group): group + 1 for group in GROUPS_SEEN}


def test_sums_of_groups_are_read_by_themselves(kind, store):
    minute_s = NOW_S // 60 * 60
    store.count("segment", 0, 10, {"fraud": {sum_key(NOW_S): 72, **group_keys(minute_s)}})
    store.count("segment", 10, 20, {"fraud": {sum_key(NOW_S): 72, **group_keys(minute_s), **group_keys(minute_s + 60)}})
    for reader in (store, kind.open()):
        assert dict(reader.sums("fraud", 1)) == {sum_key(0): 144}
        assert dict(reader.recent_sums("fraud", 0)) == {sum_key(NOW_S): 144}
        totals, recent = reader.group_sums("fraud", 1, minute_s)
        assert totals == {key: 3 * value for key, value in group_keys(0).items()}
        first = {key: 2 * value for key, value in group_keys(minute_s).items()}
        assert recent == {**first, **group_keys(minute_s + 60)}
        assert reader.group_sums("fraud", 1, minute_s + 1).recent == group_keys(minute_s + 60)
        assert reader.group_sums("churn", 1, 0) == ({}, {})


def test_sums_of_groups_are_given_from_a_policy_version_on(store):
    added = {**group_keys(NOW_S, 1), **group_keys(NOW_S, 2), **group_keys(NOW_S, 11)}
    store.count("segment", 0, 10, {"fraud": added})
    assert store.group_sums("fraud", 2, 0) == (
        {**group_keys(0, 2), **group_keys(0, 11)},
        {**group_keys(NOW_S, 2), **group_keys(NOW_S, 11)},
    )


def test_sums_of_groups_are_counted_once_and_stop_at_the_largest_number(store):
    key = sum_key(NOW_S)._replace(group=5)
    store.count("segment", 0, 10, {"fraud": {key: LARGEST_SUM - 1}})
    store.count("segment", 0, 10, {"fraud": {key: 1000}})
    assert store.group_sums("fraud", 1, 0).recent == {key: LARGEST_SUM - 1}
    store.count("segment", 10, 20, {"fraud": {key: 10**30}})
    assert store.group_sums("fraud", 1, 0) == ({key._replace(bucket_s=0): LARGEST_SUM}, {key: LARGEST_SUM})


def test_what_comes_in_between_the_two_readings_of_groups_is_in_the_totals_at_most(kind, store, monkeypatch):
    """A stratum of old requests is what the totals have beyond the recent sums, so it must not be negative."""
    key = sum_key(NOW_S)._replace(group=5)
    other, ends = kind.open(), iter(range(100))

    def count_and(read: Callable[..., Any]) -> Callable[..., Any]:
        def count_first(*arguments: Any) -> Any:
            end = next(ends)
            other.count("segment", end, end + 1, {"fraud": {key: 1}})
            return read(*arguments)

        return count_first

    for name in ("_query", "_execute", "_execute_all"):
        if hasattr(store, name):
            monkeypatch.setattr(store, name, count_and(getattr(store, name)))
    totals, recent = store.group_sums("fraud", 1, 0)
    assert totals[key._replace(bucket_s=0)] > recent[key] > 0


def test_the_ends_of_many_sources_move_at_once_each_only_from_where_it_is(kind, store):
    assert store.counted_each(["a", "b"]) == {"a": 0, "b": 0}
    assert store.advance({"a": (0, 10), "b": (0, 20)}) == {"a": 10, "b": 20}
    assert store.advance({"a": (10, 15), "b": (0, 99), "c": (1, 2), "naïve · d": (0, 3)}) == {
        "a": 15,
        "b": 20,
        "c": 0,
        "naïve · d": 3,
    }
    for reader in (store, kind.open()):
        assert reader.counted_each(["naïve · d", "b", "c", "a"]) == {"a": 15, "b": 20, "c": 0, "naïve · d": 3}
        assert reader.counted("a") == 15
    assert store.count("a", 15, 30, {}) == 30
    store.forget_source("b")
    assert store.counted_each(["a", "b"]) == {"a": 30, "b": 0}
    assert (store.counted_each([]), store.advance({})) == ({}, {})
    assert store.counted_since(0) == (0, frozenset())


def test_the_ends_of_thousands_of_sources_are_read_and_moved(store):
    ranges = {f"source-{number}": (0, number + 1) for number in range(5000)}
    after = {source: end for source, (_, end) in ranges.items()}
    assert store.advance(ranges) == after
    assert store.counted_each(list(ranges)) == after
