"""What is left of old evidence."""

from fractions import Fraction

import pytest

from bandits.estimates.discount import share_left


def test_half_is_left_after_each_half_life_exactly():
    assert [share_left(elapsed, 3600) for elapsed in (0, 3600, 7200, 36_000)] == [1, 0.5, 0.25, 2**-10]


@pytest.mark.parametrize("elapsed", [1, 10, 599, 1799.5, 3599, 3601, 100_000])
def test_between_them_it_falls_smoothly(elapsed):
    assert share_left(elapsed, 3600) == pytest.approx(2 ** (-elapsed / 3600), rel=1e-15)


def test_a_share_is_the_product_of_its_parts():
    parts = share_left(10, 600) ** 60
    assert Fraction(parts) == pytest.approx(Fraction(1, 2), rel=1e-13)


def test_nothing_is_discounted_without_a_half_life_and_nothing_is_left_after_an_age():
    assert share_left(1e9, None) == 1
    assert share_left(1e9, 1) == 0
