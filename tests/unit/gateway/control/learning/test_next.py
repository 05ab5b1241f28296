"""The next policy from the sums of rewards: whose arm gets the traffic, and when nothing is learned."""

import random
from dataclasses import replace

import pytest

from bandits.errors import BanditError
from gateway.control.learning.bounds import bounds_of
from gateway.control.learning.learning import learning_of
from gateway.control.learning.next import next_policy, stop_due
from router.document.apply import apply
from router.document.commands import Declare, Pause, Promote, Reset, Resume, Shift
from router.document.document import Candidate, Document
from router.document.learned import LearnedPolicy, with_learned
from router.draw.slots import counts
from router.evidence.reward_counts import ReadSums
from router.quantities import parse_share
from router.rewards.sums import MILLION, NO_GROUP, RewardKey, RewardSum
from router.spec.parse import parse_spec

ROUTE = {
    "route": "shop",
    "arms": {"a": "m:1", "b": "m:2", "c": "m:3"},
    "metrics": {"click": {"window": "10m"}},
    "bandit": {"policy": "thompson", "reward": "click", "floor": "2%"},
}
LENGTH_S, WINDOW_S = 10, 600
BEGAN_S = 1_000_000
SERVING = {arm: Candidate(str(number), f"digest{number}") for number, arm in enumerate("abcd", 1)}


def declared(**changed: object) -> Document:
    return apply(None, Declare(parse_spec(ROUTE | changed), float(BEGAN_S)))


class World:
    """Decisions of a route in time buckets, by the weights of its document, and the rewards of each arm."""

    def __init__(self, rates: dict[str, float], seed: int = 7) -> None:
        self.rates, self.random = rates, random.Random(seed)  # noqa: S311  # a simulation
        self.sums: dict[RewardKey, RewardSum] = {}
        self.bucket_s = BEGAN_S

    def bucket(self, document: Document, decisions: int = 300, *, silent: str = "") -> None:
        """Add the decisions of one time bucket."""
        for arm, slots in document.weights.items():
            count = round(decisions * slots / 10_000)
            clicks = 0 if arm == silent else sum(self.random.random() < self.rates[arm] for _ in range(count))
            key = RewardKey(self.bucket_s, LENGTH_S, document.version, arm, "1", "click", NO_GROUP)
            self.sums[key] = RewardSum(count, clicks, clicks * MILLION, clicks * MILLION)
        self.bucket_s += LENGTH_S

    def next(self, document: Document, known: LearnedPolicy | None) -> LearnedPolicy | None:
        """Return the next policy once all buckets have matured."""
        learning = learning_of(document)
        assert learning is not None
        bounds = bounds_of(document, learning.bandit, SERVING)
        return next_policy(learning, known, ReadSums({}, self.sums), bounds, now_s=self.bucket_s + WINDOW_S + 70.0)


def learned(world: World, document: Document, buckets: int) -> tuple[Document, LearnedPolicy]:
    known: LearnedPolicy | None = None
    for _ in range(buckets):
        world.bucket(document)
        policy = world.next(document, known)
        assert policy is not None
        assert policy.number == (1 if known is None else known.number + 1)
        known, document = policy, with_learned(document, policy)
    assert known is not None
    return document, known


def test_the_best_arm_gets_the_traffic_and_the_others_keep_their_floor():
    document, _ = learned(World({"a": 0.1, "b": 0.1, "c": 0.3}), declared(), 20)
    assert document.weights["c"] > 9_000
    assert min(document.weights.values()) >= 200
    assert sum(document.weights.values()) == 10_000


def test_weights_stay_until_each_arm_has_its_burn_in():
    document = declared(bandit=ROUTE["bandit"] | {"burn_in": 1_000})
    world = World({"a": 0.1, "b": 0.1, "c": 0.9})
    world.bucket(document)
    policy = world.next(document, None)
    assert policy is not None
    assert counts(policy.slots) == document.weights


def test_a_burn_in_that_is_over_does_not_begin_again_when_a_discount_makes_decisions_fewer():
    """A floor of 2 % of 30 decisions a second, of which half are forgotten in a minute, are 52 decisions at most."""
    document = declared(bandit=ROUTE["bandit"] | {"discount": "1m"})
    world = World({"a": 0.1, "b": 0.1, "c": 0.3})
    document, known = learned(world, document, 30)
    assert min(known.content["estimates"][0]) < 100
    world.rates = {"a": 0.3, "b": 0.1, "c": 0.1}
    for _ in range(60):
        world.bucket(document)
        policy = world.next(document, known)
        assert policy is not None
        document, known = with_learned(document, policy), policy
    assert document.weights["a"] > 5_000


def test_an_arm_that_is_reset_has_its_burn_in_anew():
    document, known = learned(World({"a": 0.1, "b": 0.1, "c": 0.3}), declared(), 8)
    assert known.content["burnt_in"] == ["a", "b", "c"]
    document = apply(document, Reset("a", 1.0))
    world = World({"a": 0.9, "b": 0.1, "c": 0.3})
    world.bucket_s += 8 * LENGTH_S
    world.bucket(document)
    policy = world.next(document, known)
    assert policy is not None
    assert policy.content["burnt_in"] == ["b", "c"]
    assert counts(policy.slots) == document.weights


def test_no_more_changes_hands_than_allowed():
    document = declared(bandit=ROUTE["bandit"] | {"max_change": "5%"})
    world, known = World({"a": 0.1, "b": 0.1, "c": 0.9}), None
    for _ in range(5):
        world.bucket(document)
        policy = world.next(document, known)
        assert policy is not None
        after = with_learned(document, policy)
        moved = sum(abs(after.weights[arm] - document.weights[arm]) for arm in document.weights) // 2
        assert moved <= 500
        document, known = after, policy


def test_while_rewards_are_silent_nothing_is_learned_and_afterwards_the_silence_is_left_out():
    world = World({"a": 0.3, "b": 0.3, "c": 0.3})
    document, known = learned(world, declared(), 80)  # an arm needs a past for its silence to be noticed
    for _ in range(6):
        world.bucket(document, silent="a")
    assert world.next(document, known) is None
    for _ in range(6):
        world.bucket(document)
    policy = world.next(document, known)
    assert policy is not None
    means = dict(zip("abc", policy.content["estimates"][1], strict=True))
    assert means["a"] == pytest.approx(0.3, abs=0.03)


def test_what_is_folded_into_the_base_is_not_folded_again():
    """The sums of old buckets may be gone from the store: a policy must not depend on them."""
    world = World({"a": 0.1, "b": 0.1, "c": 0.12})
    document, known = learned(world, declared(), 130)
    base_s = known.content["base"]["newest_s"]
    assert base_s is not None
    world.bucket(document)
    whole = world.next(document, known)
    world.sums = {key: value for key, value in world.sums.items() if key.bucket_s > base_s}
    assert world.next(document, known) == whole


def test_a_shift_pauses_and_what_was_learned_before_is_no_longer_in_force():
    document, known = learned(World({"a": 0.1, "b": 0.1, "c": 0.3}), declared(), 8)
    shifted = apply(document, Shift({"a": parse_share("60%", "a")}, 1.0))
    assert shifted.weights["a"] == 6_000
    assert with_learned(shifted, known) == shifted
    assert shifted.phase == "PAUSED"
    resumed = apply(shifted, Resume(2.0))
    assert (resumed.phase, resumed.weights) == ("PROGRESSING", shifted.weights)


def test_a_pause_keeps_the_weights_that_were_learned():
    document, known = learned(World({"a": 0.1, "b": 0.1, "c": 0.3}), declared(), 8)
    paused = apply(document, Pause())
    assert paused.weights == document.weights
    assert with_learned(paused, known).weights == document.weights


def test_a_reset_arm_is_known_by_its_new_decisions_only():
    world = World({"a": 0.1, "b": 0.1, "c": 0.5})
    document, known = learned(world, declared(), 8)
    document = apply(document, Reset("c", 1.0))
    world.rates["c"] = 0.2
    for _ in range(3):
        world.bucket(document)
    policy = world.next(document, known)
    assert policy is not None
    assert policy.content["estimates"][0][2] == pytest.approx(3 * 300 * document.weights["c"] / 10_000, abs=3)
    assert policy.content["estimates"][1][2] < 0.3


def test_an_arm_that_is_added_begins_with_its_floor_and_is_tried():
    world = World({"a": 0.1, "b": 0.1, "c": 0.2, "d": 0.6})
    document, known = learned(world, declared(), 8)
    spec = parse_spec(ROUTE | {"arms": ROUTE["arms"] | {"d": "m:4"}})
    document = apply(document, Declare(spec, 5.0))
    assert document.weights["d"] == 200
    assert document.weights["c"] > 8_000
    for _ in range(40):
        world.bucket(document)
        policy = world.next(document, known)
        assert policy is not None
        known, document = policy, with_learned(document, policy)
    assert document.weights["d"] > 9_000


def test_an_arm_that_is_added_stays_below_its_ceiling_until_that_is_taken_away():
    world = World({"a": 0.1, "b": 0.1, "c": 0.2, "d": 0.6})
    document, known = learned(world, declared(), 8)

    def go_on(limits: dict[str, object], buckets: int) -> int:
        nonlocal document, known
        spec = parse_spec(ROUTE | {"arms": ROUTE["arms"] | {"d": "m:4"}} | limits)
        document = apply(document, Declare(spec, 5.0))
        begins = document.weights["d"]
        for _ in range(buckets):
            world.bucket(document)
            policy = world.next(document, known)
            assert policy is not None
            known, document = policy, with_learned(document, policy)
        return begins

    assert go_on({"limits": {"d": {"ceiling": "5%"}}}, 40) == 200
    assert document.weights["d"] == 500
    assert document.weights["c"] > 8_000
    assert go_on({}, 10) == 500
    assert document.weights["d"] > 9_000


def test_an_arm_in_quarantine_gets_nothing():
    document = declared()
    bandit = document.spec.bandit
    assert bandit is not None
    assert bounds_of(document, bandit, {arm: SERVING[arm] for arm in "ab"}).ceilings == (10_000, 10_000, 0)


@pytest.mark.parametrize(("out", "best"), [("", "c"), ("c", "b")])
def test_the_stop_rule_names_no_arm_that_may_have_no_traffic(out, best):
    stop = {"within": "5%", "error": "5%", "then": "promote"}
    document = declared(bandit=ROUTE["bandit"] | {"stop": stop, "burn_in": 1})
    learning = learning_of(document)
    assert learning is not None
    ceilings = [0 if arm == out else 10_000 for arm in "abc"]
    content = {
        "estimates": [
            [9_000.0] * 3,
            [0.1, 0.4, 0.7],
            [[1e-5 * (row == column) for column in range(3)] for row in range(3)],
        ],
        "bounds": [[0] * 3, ceilings, 10_000, 1],
    }
    policy = LearnedPolicy("shop", 1, 1, 1, {}, 0, content)
    assert stop_due(learning, policy, 9.0) == Promote(9.0, best)


def test_an_unknown_policy_is_refused():
    document = declared(bandit={"policy": "oracle", "reward": "click"})
    world = World({"a": 0.1, "b": 0.1, "c": 0.1})
    world.bucket(document)
    with pytest.raises(BanditError, match="oracle"):
        world.next(document, None)


def test_another_life_of_the_route_knows_nothing_of_the_first():
    document, known = learned(World({"a": 0.1, "b": 0.1, "c": 0.3}), declared(), 8)
    again = replace(declared(), declared_us=document.declared_us + 1)
    assert with_learned(again, known) == again


def test_what_was_learned_once_is_not_learned_again_unless_a_command_came_between():
    world = World({"a": 0.1, "b": 0.1, "c": 0.3})
    document, known = learned(world, declared(), 3)
    assert world.next(document, known) is None
    shifted = apply(apply(document, Shift({"a": parse_share("60%", "a")}, 1.0)), Resume(2.0))
    assert world.next(shifted, known) is not None
