"""The models of the doubly robust estimate: means, and lines fitted to what came before."""

import numpy as np
import pytest

from analysis.off_policy.reward_models import LinearRewards, MeanRewards


def decisions(count: int, seed: int = 0):
    """Return contexts, arms and rewards of two arms: .2 + .5 x of the first, .6 - .3 x of the second."""
    rng = np.random.default_rng(seed)
    contexts = np.column_stack([np.ones(count), rng.random(count)])
    arms = rng.integers(0, 2, count)
    means = np.where(arms == 0, 0.2 + 0.5 * contexts[:, 1], 0.6 - 0.3 * contexts[:, 1])
    return contexts, arms, (rng.random(count) < means).astype(float)


def test_without_decisions_every_model_expects_nothing():
    for model in (MeanRewards(2), LinearRewards(2, 2)):
        assert model.means(np.ones((3, 2))).tolist() == [[0.0, 0.0]] * 3


def test_means_do_not_depend_on_the_context():
    model = MeanRewards(3)
    model.add(np.zeros((4, 0)), np.array([0, 0, 1, 0]), np.array([1.0, 0.0, 1.0, 1.0]))
    assert model.means(np.zeros((2, 0))).tolist() == [pytest.approx([2 / 3, 1.0, 0.0])] * 2


def test_lines_are_found():
    model = LinearRewards(2, 2)
    for seed in range(40):
        model.add(*decisions(100, seed))
    found = model.means(np.array([[1.0, 0.0], [1.0, 1.0]]))
    assert found == pytest.approx(np.array([[0.2, 0.6], [0.7, 0.3]]), abs=0.06)


def test_a_line_stays_within_the_range_of_rewards():
    model = LinearRewards(1, 2)
    x = np.linspace(0, 1, 50)
    model.add(np.column_stack([np.ones(50), x]), np.zeros(50, int), (x > 0.5).astype(float))
    assert model.means(np.array([[1.0, -3.0], [1.0, 4.0]])).tolist() == [[0.0], [1.0]]


def test_the_order_in_which_decisions_come_does_not_matter_once_all_are_fitted():
    at_once, one_by_one = LinearRewards(2, 2), LinearRewards(2, 2)
    contexts, arms, rewards = decisions(9)
    at_once.add(contexts, arms, rewards)
    for place in range(len(arms)):
        one_by_one.add(contexts[[place]], arms[[place]], rewards[[place]])
    assert one_by_one.means(contexts) == pytest.approx(at_once.means(contexts))
