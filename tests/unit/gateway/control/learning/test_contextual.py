"""The next policy of a contextual bandit: from sums of contexts to models, with the same rules as of other bandits."""

import json
import random
from dataclasses import replace

import pytest

from bandits.linear.policy_weights import PolicyWeights
from bandits.linear.sums import MILLION, exposure, integers_of
from gateway.control.learning.bounds import bounds_of
from gateway.control.learning.contextual import first_needed_s, next_contextual
from gateway.control.learning.learning import learning_of
from gateway.inference.contexts import encoder_of
from router.compile import Pin, compile_route
from router.document.apply import apply
from router.document.commands import Declare, Reset, Shift
from router.document.document import Candidate, Document
from router.document.learned import LearnedPolicy, policy_from_dict, policy_to_dict, with_learned
from router.evidence.reward_counts import ReadSums
from router.quantities import parse_share
from router.rewards.sums import NO_GROUP, RewardKey, RewardSum, add_integers, add_to
from router.spec.parse import parse_spec

CONTEXT = {"headers.x-device": ["phone", "desktop"]}
ROUTE = {
    "route": "shop",
    "arms": {"a": "m:1", "b": "m:2"},
    "metrics": {"click": {"window": "10m"}},
    "bandit": {"policy": "linear-thompson", "reward": "click", "floor": "2%", "context": CONTEXT},
}
LENGTH_S, WINDOW_S, BEGAN_S = 10, 600, 1_000_000
RATES = {("a", "phone"): 0.6, ("a", "desktop"): 0.2, ("b", "phone"): 0.2, ("b", "desktop"): 0.6}
SERVING = {arm: Candidate(str(number), f"digest{number}") for number, arm in enumerate("ab", 1)}


def declared(**changed: object) -> Document:
    return apply(None, Declare(parse_spec(ROUTE | changed), float(BEGAN_S)))


class World:
    """Decisions in time buckets. Half of them are of phones; the level of reward moves for all arms."""

    def __init__(self, document: Document, drift: float = 0.0) -> None:
        self.document, self.drift = document, drift
        self.encoder = encoder_of(document.spec.bandit.context)
        self.random = random.Random(3)  # noqa: S311  # a simulation
        self.rewards: dict[RewardKey, RewardSum] = {}
        self.contexts: dict[RewardKey, tuple[int, ...]] = {}
        self.known: LearnedPolicy | None = None
        self.bucket_s = BEGAN_S

    def slots(self, device: str) -> dict[str, int]:
        """Return the slots of a request from a device."""
        models = self.document.models
        if models is None:
            return self.document.weights
        vector = self.encoder.encode([device])
        return dict(zip("ab", PolicyWeights(models, len(vector)).slots(vector), strict=True))

    def bucket(self, decisions: int = 100) -> LearnedPolicy | None:
        """Add a bucket of decisions with their rewards, and learn from it once it has matured."""
        level = self.drift * (self.bucket_s // LENGTH_S % 2)
        for number in range(decisions):
            device = ("phone", "desktop")[number % 2]
            (arm,) = self.random.choices("ab", [self.slots(device)[each] for each in "ab"])
            reward = MILLION * (self.random.random() < RATES[arm, device] + level)
            key = RewardKey(self.bucket_s, LENGTH_S, self.document.version, arm, "1", "click", NO_GROUP)
            add_to(self.rewards, key, RewardSum(1, int(reward > 0), reward, reward))
            add_integers(self.contexts, key, integers_of(exposure(self.encoder.encode([device]), reward)))
        self.bucket_s += LENGTH_S
        return self.learn()

    def learn(self) -> LearnedPolicy | None:
        learning = learning_of(self.document)
        bounds = bounds_of(self.document, learning.bandit, SERVING)
        contexts = {key: each for key, each in self.contexts.items() if key.bucket_s >= first_needed_s(self.known)}
        now_s = self.bucket_s + WINDOW_S + 70.0
        policy = next_contextual(learning, self.known, ReadSums({}, self.rewards), contexts, bounds, now_s=now_s)
        if policy is not None:
            self.known = policy_from_dict(json.loads(json.dumps(policy_to_dict(policy))))
            self.document = with_learned(self.document, self.known)
        return policy


@pytest.mark.parametrize(
    "policy", ["linear-thompson", "linucb", {"square-cb": {"gamma": 100}}, "linear-epsilon-greedy"]
)
def test_each_device_gets_its_arm(policy):
    world = World(declared(bandit=ROUTE["bandit"] | {"policy": policy}))
    for _ in range(15):
        assert world.bucket() is not None
    assert world.slots("phone")["a"] > 8_000
    assert world.slots("desktop")["b"] > 8_000
    assert min(*world.slots("phone").values(), *world.slots("desktop").values()) >= 200
    assert world.known.number == 15


def test_until_each_arm_has_its_burn_in_all_requests_get_the_first_weights():
    world = World(declared(bandit=ROUTE["bandit"] | {"burn_in": 200, "from": {"a": "30%", "b": "70%"}}))
    assert world.bucket().content["models"] is None
    assert world.slots("phone") == {"a": 3_000, "b": 7_000}
    for _ in range(9):
        world.bucket()
    assert world.known.content["models"] is not None


def test_a_discount_does_not_begin_the_burn_in_again():
    world = World(declared(bandit=ROUTE["bandit"] | {"burn_in": 100, "discount": "1m", "policy": "linucb"}))
    for _ in range(160):
        world.bucket(40)
    assert min(world.known.content["decisions"]) > 0
    world.known = replace(world.known, content=world.known.content | {"decisions": [1, 1]})
    for _ in range(3):
        world.bucket(40)
        assert world.known.content["models"] is not None
    assert world.known.content["burnt_in"] == ["a", "b"]


def test_old_buckets_are_kept_together_and_not_read_again():
    world = World(declared(), drift=0.2)
    for _ in range(140):
        world.bucket(20)
    assert first_needed_s(world.known) == BEGAN_S + 10 * LENGTH_S + LENGTH_S * 9 + 1
    assert sum(world.known.content["decisions"]) == 140 * 20
    assert world.slots("phone")["a"] > 9_000


def test_the_same_sums_are_not_learned_from_twice_and_what_has_not_matured_is_not_known():
    world = World(declared())
    assert world.bucket() is not None
    assert world.learn() is None
    world.bucket_s -= 100
    world.known = None
    assert world.learn() is None


def test_an_arm_that_is_reset_begins_anew():
    world = World(declared())
    for _ in range(10):
        world.bucket()
    world.document = apply(world.document, Reset("a", 1.0))
    world.known = replace(world.known, content=world.known.content | {"newest_s": 0})
    policy = world.bucket()
    assert policy.content["decisions"][0] < 100 < policy.content["decisions"][1]


def test_after_a_shift_all_requests_get_the_weights_that_were_given():
    world = World(declared())
    for _ in range(10):
        world.bucket()
    assert compiled(world.document).contextual.models is not None
    world.document = apply(world.document, Shift({"a": parse_share("30%", ""), "b": parse_share("70%", "")}, 1.0))
    assert world.document.models is None
    assert with_learned(world.document, world.known).models is None
    assert compiled(world.document).contextual.models is None


def compiled(document: Document):
    return compile_route(document, {"a": Pin("1", "x"), "b": Pin("2", "y")})


def test_another_context_is_learned_anew():
    world = World(declared())
    for _ in range(5):
        world.bucket()
    bandit = ROUTE["bandit"] | {"context": {"headers.x-device": ["phone", "desktop", "tv"]}}
    world.document = apply(world.document, Declare(parse_spec(ROUTE | {"bandit": bandit}), 2.0))
    assert world.document.models is None
    assert world.learn() is None  # the sums of the other context count no more
    world.encoder = encoder_of(world.document.spec.bandit.context)
    assert sum(world.bucket().content["decisions"]) == 100
