"""The crowd is the same for the same seed, and likes arms as often as it should."""

from statistics import mean

import pytest

from gateway.cli.demo_bandit.crowd import MEAN_DELAY_S, Crowd, draw_rates

RATES = {"a": 0.1, "b": 0.4}
PEOPLE = 4000


def test_a_person_is_the_same_whoever_came_before():
    first, second = Crowd(RATES, 1), Crowd(RATES, 1)
    forward = [first.click_after_s(number, "b") for number in range(50)]
    backward = [second.click_after_s(number, "b") for number in reversed(range(50))]
    assert forward == backward[::-1]
    assert forward != [Crowd(RATES, 2).click_after_s(number, "b") for number in range(50)]


@pytest.mark.parametrize("arm", RATES)
def test_people_click_as_often_as_the_rate_says(arm):
    """The standard error of the rate is .008 at most, that of the delay .07."""
    crowd = Crowd(RATES, 1)
    after_s = [crowd.click_after_s(number, arm) for number in range(PEOPLE)]
    clicks = [each for each in after_s if each is not None]
    assert len(clicks) / PEOPLE == pytest.approx(RATES[arm], abs=0.03)
    assert mean(clicks) == pytest.approx(MEAN_DELAY_S, abs=0.3)


def test_rates_that_are_replaced_are_in_force_at_once():
    crowd = Crowd({"a": 0.0}, 1)
    assert all(crowd.click_after_s(number, "a") is None for number in range(20))
    crowd.rates = {"a": 1.0}
    assert all(crowd.click_after_s(number, "a") is not None for number in range(20))


def test_the_seed_decides_which_arm_is_liked_best():
    arms = ("red", "green", "blue")
    assert draw_rates(arms, 1) == draw_rates(arms, 1)
    assert all(sorted(draw_rates(arms, seed).values()) == pytest.approx([0.1, 0.18, 0.26]) for seed in range(5))
    assert {max(arms, key=draw_rates(arms, seed).get) for seed in range(20)} == set(arms)
