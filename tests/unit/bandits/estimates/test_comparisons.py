"""Comparisons are least squares with arm and period effects, whatever arms are forgotten and in whatever order."""

import numpy as np
import pytest

from bandits.estimates.comparisons import Comparisons, add, explained, forget, laplacian, nothing, of_period, rearrange

PERIODS = 12


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Return decisions and sums of rewards of four arms, of which some are missing in some periods."""
    rng = np.random.default_rng(3)
    decisions = rng.integers(0, 9, (PERIODS, 4)) * rng.integers(0, 2, (PERIODS, 4))
    return decisions, rng.binomial(decisions, rng.uniform(0.1, 0.9, (PERIODS, 1)))


def known(decisions: np.ndarray, rewards: np.ndarray) -> Comparisons:
    total = nothing(decisions.shape[1])
    for of_period_ in zip(decisions.tolist(), rewards.tolist(), strict=True):
        total = add(total, 1.0, of_period(*of_period_))
    return total


def regression(decisions: np.ndarray, rewards: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the effects about their mean, and the sum of squared residuals, from one row for each decision."""
    rows, outcomes = [], []
    for begins, (counts, totals) in enumerate(zip(decisions, rewards, strict=True)):
        for arm, (count, total) in enumerate(zip(counts, totals, strict=True)):
            for index in range(count):
                row = np.zeros(decisions.shape[1] + len(decisions))
                row[arm] = row[decisions.shape[1] + begins] = 1
                rows.append(row)
                outcomes.append(float(index < total))
    solution = np.linalg.lstsq(np.array(rows), np.array(outcomes))[0]
    effects = solution[: decisions.shape[1]]
    return effects - effects.mean(), float(((np.array(rows) @ solution - outcomes) ** 2).sum())


def effects(comparisons: Comparisons) -> np.ndarray:
    return np.asarray(np.linalg.pinv(np.array(laplacian(comparisons))) @ np.array(comparisons.excess))


def test_the_effects_are_those_of_a_regression_on_arms_and_periods(drawn):
    expected, residual = regression(*drawn)
    comparisons = known(*drawn)
    assert effects(comparisons) == pytest.approx(expected, abs=1e-12)
    within = sum(total - total**2 / count for count, total in _periods(*drawn) if count)
    assert within - explained(comparisons, list(expected)) == pytest.approx(residual, abs=1e-9)


def test_an_arm_that_is_forgotten_leaves_what_it_says_of_the_others(drawn):
    all_four, _ = regression(*drawn)
    rest = forget(known(*drawn), 1)
    others = [0, 2, 3]
    assert effects(rearrange(rest, others)) == pytest.approx(all_four[others] - all_four[others].mean(), abs=1e-12)
    assert laplacian(rest)[1] == [0, 0, 0, 0]
    assert rest.excess[1] == 0
    dropped, _ = regression(drawn[0][:, others], drawn[1][:, others])
    assert dropped != pytest.approx(all_four[others] - all_four[others].mean(), abs=1e-3)  # or nothing was to be kept


def test_arms_may_come_in_another_order_and_new_ones_have_no_comparisons(drawn):
    rearranged = rearrange(known(*drawn), [3, None, 0, 1, 2])
    order = [3, 0, 1, 2]
    assert np.delete(np.delete(laplacian(rearranged), 1, 0), 1, 1) == pytest.approx(
        np.array(laplacian(known(drawn[0][:, order], drawn[1][:, order])))
    )
    assert laplacian(rearranged)[1] == [0, 0, 0, 0, 0]
    assert rearranged.excess[1] == 0


def test_a_period_without_decisions_says_nothing():
    assert of_period([0, 0], [0, 0]) == nothing(2)
    assert forget(nothing(3), 1) == nothing(3)


def _periods(decisions: np.ndarray, rewards: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(decisions.sum(axis=1), rewards.sum(axis=1), strict=True))
