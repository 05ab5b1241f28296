"""The weights of a context are those of its vector and its policy, whether they are remembered or not."""

import numpy as np

from bandits.linear.context import SCALE
from bandits.linear.policy_weights import REMEMBERED, PolicyWeights
from bandits.linear.solve import Bucket, solve
from bandits.linear.sums import MILLION, combine, exposure

SIZE, ARMS = 5, 3


def content(seed: int):
    """Return a policy whose arms have had 40 decisions with random contexts and rewards each."""
    rng, models = np.random.default_rng(seed), []
    for _ in range(ARMS):
        seen = [exposure(vector, MILLION * int(rng.integers(2))) for vector in vectors(40, rng)]
        models.append(solve([Bucket(combine(seen, SIZE))], SIZE))
    return {
        "policy": "linear-thompson",
        "parameters": {},
        "bounds": [[100, 200, 0], [10_000, 9_000, 5_000], 10_000, 0.0],
        "models": [[list(m.theta), m.theta_bits, list(m.factor), m.factor_bits] for m in models],
    }


def vectors(count: int, rng) -> list[tuple[int, ...]]:
    return [(SCALE, *row) for row in rng.integers(0, SCALE + 1, (count, SIZE - 1)).tolist()]


def test_what_is_remembered_is_what_is_computed_anew():
    rng = np.random.default_rng(0)
    used, policy = PolicyWeights(content(1), SIZE), content(1)
    seen = vectors(REMEMBERED + 100, rng)
    for place in [*range(len(seen)), *rng.integers(0, len(seen), 100).tolist()]:
        used.slots(seen[place])
    for place in rng.integers(0, len(seen), 100).tolist():
        assert used.slots(seen[place]) == PolicyWeights(policy, SIZE).slots(list(seen[place]))


def test_another_policy_remembers_nothing_of_this_one():
    seen = vectors(20, np.random.default_rng(2))
    one, other = PolicyWeights(content(1), SIZE), PolicyWeights(content(2), SIZE)
    assert [one.slots(vector) for vector in seen] != [other.slots(vector) for vector in seen]
    assert [other.slots(vector) for vector in seen] == [PolicyWeights(content(2), SIZE).slots(v) for v in seen]
