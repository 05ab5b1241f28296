"""The bytes that connections share."""

import pytest

from gateway.errors import Overloaded
from gateway.eventloop.body_budget import BodyBudget, Holding


def test_what_is_taken_is_there_again_when_it_is_given_back():
    budget = BodyBudget(100)
    assert budget.take(60)
    assert not budget.take(41)
    assert budget.take(40)
    budget.give(60)
    assert budget.take(60)
    assert not budget.take(1)


def test_large_requests_leave_a_share_for_small_ones():
    budget = BodyBudget(1_600_000)
    large, small = Holding(budget), Holding(budget)
    large.add(1_500_000)
    with pytest.raises(Overloaded):
        large.add(1)
    small.add(60_000)
    with pytest.raises(Overloaded):
        small.add(10_000)  # it is large by now
    large.release()
    small.add(10_000)


def test_what_is_counted_after_the_client_left_is_given_back_at_once():
    budget = BodyBudget(1000)
    holding = Holding(budget)
    holding.add(100)
    holding.close()
    holding.add(200)
    holding.become_response(300)
    assert budget.left == 1000


def test_responses_may_take_the_budget_a_second_time_and_no_third():
    budget = BodyBudget(1000)
    Holding(budget).add(900)
    first, second = Holding(budget), Holding(budget)
    first.become_response(1000)
    with pytest.raises(Overloaded):
        second.become_response(200)
    second.become_response(100)
