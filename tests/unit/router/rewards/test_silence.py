"""Rewards that stop coming are noticed; chance, drift and nights are not."""

import numpy as np
import pytest

from router.rewards.buckets import LENGTHS_S
from router.rewards.silence import ENOUGH, MOST_COHORTS, Cohort, silences

LENGTH_S = LENGTHS_S[1]
COHORTS = 240
CUT = 150


def history(
    seed: int, *, night: float = 0.0, cut: tuple[str, ...] = (), until: int = COHORTS
) -> dict[str, list[Cohort]]:
    """Return the cohorts of three arms of different size and rate. The rewards of `cut` end at `CUT`."""
    rng = np.random.default_rng(seed)
    cohorts: dict[str, list[Cohort]] = {}
    for arm in ("a", "b", "c"):
        size, rate = rng.integers(20, 100), rng.uniform(0.05, 0.5)
        swing = 1 + night * np.sin(2 * np.pi * np.arange(COHORTS) / 120)
        decisions = rng.poisson(size, COHORTS)
        rewarded = rng.binomial(decisions, np.minimum(rate * swing, 1.0))
        if arm in cut:
            rewarded[CUT:until] = 0
        cohorts[arm] = [Cohort(i * LENGTH_S, int(decisions[i]), int(rewarded[i])) for i in range(COHORTS)]
    return cohorts


@pytest.mark.parametrize("night", [0.0, 0.5])
def test_arrival_that_differs_by_chance_is_no_silence(night):
    found = [silences(history(seed, night=night)) for seed in range(100)]
    assert [of_arm for each in found for of_arm in each.values() if of_arm] == []


@pytest.mark.parametrize("cut", [("a",), ("a", "b", "c")])
def test_silence_is_noticed_within_a_window_of_cohorts(cut):
    for seed in range(20):
        cohorts = history(seed, cut=cut)
        seen = {arm: of_arm[: CUT + MOST_COHORTS] for arm, of_arm in cohorts.items()}
        found = silences(seen)
        assert {arm for arm, of_arm in found.items() if of_arm} == set(cut), seed
        for arm in cut:
            (silence,) = found[arm]
            assert silence.ends_s is None
            assert (CUT - MOST_COHORTS) * LENGTH_S <= silence.begins_s <= CUT * LENGTH_S


def test_a_silence_ends_when_rewards_come_back():
    for seed in range(20):
        (silence,) = silences(history(seed, cut=("b",), until=CUT + 50))["b"]
        assert silence.ends_s is not None
        assert silence.begins_s <= CUT * LENGTH_S < (CUT + 50) * LENGTH_S <= silence.ends_s <= COHORTS * LENGTH_S


def test_a_silence_never_becomes_what_is_usual():
    cohorts = history(3, cut=("a",))
    last = cohorts["a"][-1].begins_s
    longer = {
        arm: [*of_arm, *(Cohort(last + i * LENGTH_S, 50, 0 if arm == "a" else 10) for i in range(1, 2000))]
        for arm, of_arm in cohorts.items()
    }
    (silence,) = silences(longer)["a"]
    assert silence.ends_s is None


def test_without_a_past_nothing_is_said():
    assert silences({"a": [Cohort(i * 10, 100, 0) for i in range(100)]}) == {"a": []}


def test_as_long_as_few_rewards_are_expected_nothing_is_said():
    rate = ENOUGH / MOST_COHORTS / 100 * 0.9  # less than enough in a window of cohorts of 100 decisions
    rng = np.random.default_rng(1)
    past = [Cohort(i * 10, 100, int(rng.binomial(100, rate))) for i in range(300)]
    assert silences({"a": past + [Cohort(3000 + i * 10, 100, 0) for i in range(100)]}) == {"a": []}
