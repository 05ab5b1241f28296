"""The specification of a store: sums of rewards, and outcomes of decisions, which change in one step."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from router.rewards.buckets import BUCKETS_KEPT, LENGTHS_S
from router.rewards.sums import RewardKey, RewardSum
from store.codec import LARGEST_SUM
from store.counted import VERSIONS_READ
from store.errors import OutcomesChanged
from store.interface import Store
from store.rewarded import ReadRewards, Rewarded
from tests.support.documents import sum_key
from tests.support.rewards import NOW_S, changed, clicks, decision, reward_key, rewarded

THREADS, EVENTS = 4, 10
BYTES = bytes(range(256)) * 3


def total_of(store: Store) -> int:
    """Return how many clicks there are over all time."""
    return sum(value.decisions for value in store.reward_sums("fraud", 1, NOW_S).totals.values())


def test_there_are_no_rewards_at_first(store):
    assert store.reward_sums("fraud", 1, 0) == ({}, {})
    assert store.reward_sums("fraud", 1, 0, by_group=True) == ({}, {})
    assert list(store.outcomes([decision(1), decision(2)])) == [b"", b""]
    assert list(store.outcomes([])) == []


def test_a_reward_is_in_its_bucket_and_in_the_sum_over_all_time(kind, store):
    early, late = reward_key(NOW_S), reward_key(NOW_S + 10)
    added = {"fraud": {early: clicks(3), late: RewardSum(0, 1, 250_000, 62_500)}, "churn": {early: clicks(1)}}
    assert store.count("segment", 0, 100, {"fraud": {sum_key(NOW_S): 7}}, Rewarded(added)) == 100
    assert store.count("segment", 100, 250, {}, Rewarded({"fraud": {late: RewardSum(5, -1, -750_000, 9)}})) == 250
    expected = ReadRewards(
        totals={reward_key(0): RewardSum(8, 3, 2_500_000, 3_062_509)},
        recent={early: clicks(3), late: RewardSum(5, 0, -500_000, 62_509)},
    )
    for reader in (store, kind.open()):
        assert reader.counted("segment") == 250
        assert reader.reward_sums("fraud", 1, NOW_S) == expected
        assert reader.reward_sums("fraud", 1, NOW_S + 1).recent == {late: expected.recent[late]}
        assert reader.reward_sums("fraud", 1, NOW_S + 11) == expected._replace(recent={})
        assert reader.reward_sums("churn", 1, 0) == ({reward_key(0): clicks(1)}, {early: clicks(1)})
        assert dict(reader.sums("fraud", 1)) == {sum_key(0): 7}
        assert dict(reader.recent_sums("fraud", 0)) == {sum_key(NOW_S): 7}


def test_every_part_of_a_key_keeps_sums_of_rewards_apart(store):
    key = RewardKey(NOW_S, 600, 3, "canary", "17", "click")
    others = [
        key._replace(length_s=10),
        key._replace(policy_version=4),
        key._replace(arm="stable"),
        key._replace(model_version="naïve · 17"),
        key._replace(metric="revenue"),
    ]
    sums = {each: clicks(number) for number, each in enumerate([key, *others], 1)}
    store.count("segment", 0, 10, {}, Rewarded({"fraud": sums}))
    totals, recent = store.reward_sums("fraud", 3, 0)
    assert recent == sums
    assert totals == {each._replace(bucket_s=0): value for each, value in sums.items()}


def test_what_has_no_bucket_is_in_the_sum_over_all_time_once(store):
    store.count("segment", 0, 10, {}, Rewarded({"fraud": {reward_key(0): clicks(3)}}))
    assert store.reward_sums("fraud", 1, 0) == ({reward_key(0): clicks(3)}, {})


def test_a_sum_of_nothing_is_not_kept(store):
    store.count("segment", 0, 10, {}, Rewarded({"fraud": {reward_key(NOW_S): RewardSum(0, 0, 0, 0)}}))
    assert store.reward_sums("fraud", 1, 0) == ({}, {})


def test_sums_of_groups_of_units_are_read_by_themselves(kind, store):
    groups = {reward_key(NOW_S, group=group): clicks(group + 1) for group in (0, 7, 63)}
    store.count("segment", 0, 10, {}, Rewarded({"fraud": {reward_key(NOW_S): clicks(72), **groups}}))
    for reader in (store, kind.open()):
        assert reader.reward_sums("fraud", 1, 0) == ({reward_key(0): clicks(72)}, {reward_key(NOW_S): clicks(72)})
        totals, recent = reader.reward_sums("fraud", 1, 0, by_group=True)
        assert recent == groups
        assert totals == {key._replace(bucket_s=0): value for key, value in groups.items()}
        assert reader.reward_sums("fraud", 1, NOW_S + 1, by_group=True).recent == {}


@pytest.mark.parametrize("by_group", [False, True])
def test_sums_of_rewards_are_given_from_a_policy_version_on(store, by_group):
    group = 5 if by_group else -1
    added = {reward_key(NOW_S, version, group): clicks(version) for version in (1, 2, 9, 10, 11)}
    store.count("segment", 0, 10, {}, Rewarded({"fraud": added}))
    totals, recent = store.reward_sums("fraud", 9, 0, by_group=by_group)
    assert recent == {reward_key(NOW_S, version, group): clicks(version) for version in (9, 10, 11)}
    assert totals == {reward_key(0, version, group): clicks(version) for version in (9, 10, 11)}
    assert store.reward_sums("fraud", 12, 0, by_group=by_group) == ({}, {})


@pytest.mark.parametrize("group", [-1, 5])
def test_totals_are_given_of_the_newest_policy_versions_only(store, group):
    versions = range(1, 3 * VERSIONS_READ, 2)
    added = {reward_key(NOW_S, version, group): clicks(1) for version in versions}
    store.count("segment", 0, 10, {}, Rewarded({"fraud": added}))
    totals = store.reward_sums("fraud", 1, 0, by_group=group >= 0).totals
    assert sorted(key.policy_version for key in totals) == list(versions)[-VERSIONS_READ:]


def test_of_each_length_as_many_buckets_are_kept(store):
    now_s = int(time.time())
    added = {}
    for length_s in (LENGTHS_S[0], LENGTHS_S[3]):
        newest_s = now_s // length_s * length_s
        for number in range(BUCKETS_KEPT + 5):
            added[reward_key(newest_s - number * length_s, length_s=length_s)] = clicks(1)
    store.count("segment", 0, 10, {}, Rewarded({"fraud": added}))
    totals, recent = store.reward_sums("fraud", 1, 0)
    for length_s in (LENGTHS_S[0], LENGTHS_S[3]):
        kept = [key.bucket_s for key in recent if key.length_s == length_s]
        assert BUCKETS_KEPT - 1 <= len(kept) <= BUCKETS_KEPT + 1  # at the edge, by number or by time
        assert min(kept) == max(kept) - (len(kept) - 1) * length_s
        assert totals[reward_key(0, length_s=length_s)] == clicks(BUCKETS_KEPT + 5)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_of_rewards_stops_at_the_largest_number_and_the_others_go_on(store, sign):
    key = reward_key(NOW_S)
    for number, more in enumerate((LARGEST_SUM - 1, 5, 10**30)):
        added = Rewarded({"fraud": {key: RewardSum(1, 1, sign * more, 2)}})
        assert store.count("segment", number, number + 1, {}, added) == number + 1
    expected = RewardSum(3, 3, sign * LARGEST_SUM, 6)
    assert store.reward_sums("fraud", 1, 0) == ({reward_key(0): expected}, {key: expected})


@pytest.mark.parametrize(("before", "after"), [(0, 100), (0, 50), (50, 100), (99, 150), (101, 150)])
def test_rewards_are_counted_once_with_their_range(store, before, after):
    store.count("segment", 0, 100, {}, rewarded(1, b"", b"one"))
    assert store.count("segment", before, after, {}, rewarded(1, b"one", b"two")) == 100
    assert total_of(store) == 1
    assert list(store.outcomes([decision(1)])) == [b"one"]


def test_an_attempt_whose_reply_was_lost_changes_nothing_and_is_told_that_it_was_counted(kind, store):
    """Its outcomes are no longer what it read, because it changed them itself."""
    store.count("segment", 0, 100, {}, rewarded(1, b"", b"one"))
    assert kind.open().count("segment", 0, 100, {}, rewarded(1, b"", b"one")) == 100
    store.count("segment", 100, 150, {}, rewarded(1, b"one", b"two"))
    assert kind.open().count("segment", 0, 100, {}, rewarded(1, b"", b"one")) == 150
    assert total_of(store) == 2
    assert list(store.outcomes([decision(1)])) == [b"two"]


def test_outcomes_are_kept_as_they_are_by_decision(kind, store):
    same_id = [decision(1), decision(1, route="churn"), decision(1, declared_us=1_799_000_000_000_001), decision(2)]
    changes = [changed(1, b"", BYTES + bytes([at]))._replace(key=key) for at, key in enumerate(same_id)]
    store.count("segment", 0, 10, {}, Rewarded(outcomes=changes))
    asked = [*reversed(same_id), decision(3), decision(1, route="naïve")]
    for reader in (store, kind.open()):
        assert list(reader.outcomes(asked)) == [BYTES + bytes([at]) for at in (3, 2, 1, 0)] + [b"", b""]


def test_thousands_of_outcomes_are_changed_and_read(store):
    keys = [decision(number) for number in range(3500)]
    store.count("segment", 0, 10, {}, Rewarded(outcomes=[changed(at, b"", b"%d" % at) for at in range(3500)]))
    again = [changed(at, b"%d" % at, b"%d again" % at) for at in range(0, 3500, 7)]
    store.count("segment", 10, 20, {}, Rewarded(outcomes=again))
    expected = [b"%d again" % at if at % 7 == 0 else b"%d" % at for at in range(3500)]
    assert list(store.outcomes(keys)) == expected


@pytest.mark.parametrize("before", [b"", b"another", b"on", b"one\0", BYTES])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_if_an_outcome_has_changed_nothing_at_all_is_added(store, before, place):
    store.count("segment", 0, 100, {"fraud": {sum_key(NOW_S): 1}}, rewarded(1, b"", b"one"))
    number = store.counted_since(0).number
    changes = [changed(8, b"", b"eight"), changed(9, b"", b"nine")]
    changes.insert(place, changed(1, before, b"two"))
    stale = replace(rewarded(1, b"", b""), outcomes=changes)
    with pytest.raises(OutcomesChanged):
        store.count("segment", 100, 150, {"fraud": {sum_key(NOW_S): 1000}}, stale)
    assert store.counted("segment") == 100
    assert total_of(store) == 1
    assert dict(store.sums("fraud", 1)) == {sum_key(0): 1}
    assert list(store.outcomes([decision(1), decision(8), decision(9)])) == [b"one", b"", b""]
    assert store.counted_since(0).number == number
    assert store.count("segment", 100, 150, {}, rewarded(1, b"one", b"two")) == 150


def test_an_outcome_that_is_gone_has_changed(store):
    with pytest.raises(OutcomesChanged):
        store.count("segment", 0, 100, {}, rewarded(1, b"was read", b"one"))
    assert list(store.outcomes([decision(1)])) == [b""]
    assert store.counted("segment") == 0


def test_routes_that_got_nothing_but_rewards_are_told(kind, store):
    store.count("segment", 0, 100, {"churn": {sum_key(NOW_S): 1}}, rewarded(1, b"", b"one"))
    first = store.counted_since(0)
    assert first.routes == {"churn", "fraud"}
    kind.open().count("segment", 100, 150, {}, Rewarded({"fraud": {reward_key(NOW_S): clicks(1)}, "idle": {}}))
    second = store.counted_since(first.number)
    assert second.routes == {"fraud"}
    store.count("segment", 150, 200, {}, Rewarded(outcomes=[changed(2, b"", b"a label")]))
    assert store.counted_since(second.number).routes == frozenset()


def test_writers_of_the_same_decisions_end_with_what_one_after_the_other_gives(kind):
    """Each event is added to what is known of the decision. One that is known already adds nothing to the sums."""
    barrier = threading.Barrier(THREADS)
    failures: list[BaseException] = []
    events = [b"event %d," % number for number in range(EVENTS)]

    def write(writer: int, store: Store) -> None:
        barrier.wait()
        try:
            for end, event in enumerate(events[writer:] + events[:writer]):
                while not add(store, f"segment {writer}", end, event):
                    pass
        except BaseException as error:  # noqa: BLE001  # asserted below
            failures.append(error)

    def add(store: Store, source: str, end: int, event: bytes) -> bool:
        known = store.outcomes([decision(1)])[0]
        added = Rewarded() if event in known else rewarded(1, known, known + event)
        try:
            return store.count(source, end, end + 1, {}, added) == end + 1
        except OutcomesChanged:
            return False

    threads = [threading.Thread(target=write, args=(writer, kind.open())) for writer in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    store = kind.open()
    assert sorted(store.outcomes([decision(1)])[0].split(b",")) == sorted([b"", *(event[:-1] for event in events)])
    assert total_of(store) == EVENTS
    assert [store.counted(f"segment {writer}") for writer in range(THREADS)] == [EVENTS] * THREADS


def test_what_comes_in_between_the_two_readings_is_in_the_totals_at_most(kind, store, monkeypatch):
    other, ends = kind.open(), iter(range(100))

    def count_and(read: Callable[..., Any]) -> Callable[..., Any]:
        def count_first(*arguments: Any) -> Any:
            end = next(ends)
            other.count("segment", end, end + 1, {}, Rewarded({"fraud": {reward_key(NOW_S): clicks(1)}}))
            return read(*arguments)

        return count_first

    for name in ("_query", "_execute", "_execute_all"):
        if hasattr(store, name):
            monkeypatch.setattr(store, name, count_and(getattr(store, name)))
    totals, recent = store.reward_sums("fraud", 1, 0)
    assert totals[reward_key(0)].decisions > recent[reward_key(NOW_S)].decisions > 0


def contexts_of(store: Store, since_version: int = 1, since_s: int = 0):
    return dict(store.context_sums("fraud", since_version, since_s))


def test_sums_of_contexts_add_up_one_by_one_and_are_kept_by_bucket(kind, store):
    early, late = reward_key(NOW_S), reward_key(NOW_S + 10)
    large = 2**62
    assert contexts_of(store) == {}
    first = {"fraud": {early: (1, -5, large), late: (7, 0, 3)}, "churn": {early: (1, 2)}}
    store.count("segment", 0, 100, {}, Rewarded(contexts=first))
    store.count("segment", 100, 200, {}, Rewarded(contexts={"fraud": {early: (2, 8, 100)}}))
    for reader in (store, kind.open()):
        assert contexts_of(reader) == {early: (3, 3, large + 100), late: (7, 0, 3)}
        assert contexts_of(reader, since_s=NOW_S + 1) == {late: (7, 0, 3)}
        assert contexts_of(reader, early.policy_version + 1) == {}
    assert store.count("segment", 100, 300, {}, Rewarded(contexts=first)) == 200  # it is counted already
    assert contexts_of(store)[late] == (7, 0, 3)


def test_sums_of_contexts_stop_at_the_largest_number_and_never_mix_sizes(store):
    key = reward_key(NOW_S)
    for number, integers in enumerate([(LARGEST_SUM, -LARGEST_SUM), (5, -5), (1, 2, 3)]):
        store.count("segment", number, number + 1, {}, Rewarded(contexts={"fraud": {key: integers}}))
    assert contexts_of(store) == {key: (LARGEST_SUM, -LARGEST_SUM)}


def test_only_so_many_buckets_of_sums_of_contexts_are_kept(store):
    keys = [reward_key(NOW_S - 10 * age) for age in range(BUCKETS_KEPT + 5)]
    for number, key in enumerate(reversed(keys)):
        store.count("segment", number, number + 1, {}, Rewarded(contexts={"fraud": {key: (1,)}}))
    assert BUCKETS_KEPT <= len(contexts_of(store)) <= BUCKETS_KEPT + 5
