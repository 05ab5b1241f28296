"""IPS by row is refused where it would be biased, with a sentence that says what to do instead."""

import pytest

from bandits.row_wise_ips import LoggedPolicy, check_row_wise_ips

FIVE, TEN = {"stable": 0.95, "canary": 0.05}, {"stable": 0.9, "canary": 0.1}


def policies(*weights: dict[str, float], has_units: bool = True) -> list[LoggedPolicy]:
    return [LoggedPolicy(version, each, has_units) for version, each in enumerate(weights, 1)]


def test_rows_that_are_drawn_each_time_may_be_weighted_however_weights_moved():
    assert check_row_wise_ips("r", policies(FIVE, TEN, has_units=False)) == (True, "")
    assert check_row_wise_ips("r", []) == (True, "")


@pytest.mark.parametrize("weights", [(FIVE, FIVE), (FIVE, {**FIVE, "new": 0.0})])
def test_sticky_rows_may_be_weighted_while_weights_stay_but_their_errors_are_by_unit(weights):
    use = check_row_wise_ips("r", policies(*weights))
    assert use.is_allowed
    assert "standard errors by unit" in use.sentence


@pytest.mark.parametrize("weights", [(FIVE, TEN), (FIVE, TEN, FIVE), (FIVE, {"stable": 1.0, "canary": 0.0})])
def test_sticky_rows_whose_weights_moved_are_refused_with_the_way_out(weights):
    use = check_row_wise_ips("fraud", policies(*weights))
    assert not use.is_allowed
    assert "route fraud" in use.sentence
    assert "between policy versions 1 and 2" in use.sentence
    assert "first_exposures" in use.sentence


def test_requests_without_a_unit_may_have_seen_other_weights():
    without, sticky = LoggedPolicy(1, FIVE, has_units=False), LoggedPolicy(2, TEN, has_units=True)
    assert check_row_wise_ips("r", [without, sticky]).is_allowed
