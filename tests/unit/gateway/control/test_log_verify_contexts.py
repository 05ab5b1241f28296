"""`pointsman log verify`: the sums of contexts that are rebuilt from the log are those of the store, to the integer."""

import sqlite3

import pytest

from router.document.commands import Declare, Reset
from router.rewards.buckets import BUCKETS_KEPT
from router.spec.parse import parse_spec
from store.sqlite.store import SQLiteStore
from tests.unit.gateway.control.support import NOON_US
from tests.unit.gateway.control.support_contexts import ROUTE, World

OTHER_WORDS = {**ROUTE["bandit"], "context": {"headers.x-device": ["phone", "desktop", "watch"]}}
OTHER_METRIC = {**ROUTE["bandit"], "reward": "net"}


@pytest.fixture
def world(tmp_path):
    store = SQLiteStore(tmp_path / "control.db", now=lambda: NOON_US / 1e6)
    made = World(tmp_path, store)
    yield made
    made.close()
    store.close()


def test_sums_of_contexts_are_those_of_the_log_over_changes_of_the_route(world):
    changes = [
        Reset("b", 5.0),
        Declare(parse_spec({**ROUTE, "arms": {"a": "m:1", "c": "m:3"}}), 6.0),  # b is gone
        Declare(parse_spec({**ROUTE, "bandit": OTHER_WORDS}), 7.0),  # vectors of another length
        Declare(parse_spec({**ROUTE, "bandit": OTHER_METRIC}), 8.0),  # which needs the latency
    ]
    for change in [None, *changes]:
        if change is not None:
            world.change(change)
        world.decide(600)
        world.reward(700)  # of decisions of all versions, most of which are Parquet by now
        world.count(ships=change is not changes[-1])
        verified = world.verify()
        assert verified.differences == []
    sums = world.store.context_sums("shop", 0, 0)
    assert {key.policy_version for key in sums} == {1, 2, 3, 4, 5}
    assert {len(integers) for integers in sums.values()} == {6 * 7 // 2 + 6 + 3, 7 * 8 // 2 + 7 + 3}
    assert {key.arm for key in sums} == {"a", "b", "c"}
    assert verified.decisions > 2500
    assert verified.rewards > 3000
    assert verified.sums > 250


def test_sums_that_differ_are_named_unless_their_bucket_is_no_longer_kept(world):
    world.decide(100)
    world.reward(100)
    world.count(ships=True)
    with sqlite3.connect(world.root / "control.db") as connection:
        key = connection.execute(
            "SELECT bucket_s, arm, integers FROM context_sums ORDER BY bucket_s LIMIT 1"
        ).fetchone()
        wrong = key[2].replace(" ", "1 ", 1)  # the first integer, which counts decisions
        connection.execute("UPDATE context_sums SET integers = ? WHERE bucket_s = ? AND arm = ?", (wrong, *key[:2]))
        connection.execute("DELETE FROM context_sums WHERE bucket_s = (SELECT max(bucket_s) FROM context_sums)")
    first, *others = world.verify().differences
    ((name, stored),) = first.store.items()
    assert (name, first.arm, first.metric) == (f"contexts of {key[0]}, integer 0", key[1], "click")
    assert stored == 10 * first.log[name] + 1
    assert [list(each.store.values()) for each in others] == [[0]] * len(others) != []
    later_s = key[0] + (BUCKETS_KEPT - 1) * 10
    assert {each.arm for each in world.verify(later_s).differences} == {each.arm for each in others}
