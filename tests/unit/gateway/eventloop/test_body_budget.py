"""The bytes that connections share."""

from gateway.eventloop.body_budget import BodyBudget


def test_what_is_taken_is_there_again_when_it_is_given_back():
    budget = BodyBudget(100)
    assert budget.take(60)
    assert not budget.take(41)
    assert budget.take(40)
    budget.give(60)
    assert budget.take(60)
    assert not budget.take(1)
