"""The users of the simulation are what they are said to be, and verdicts on them need both kinds of evidence."""

from dataclasses import replace

import numpy as np
import pytest

from loadtests.studies.verdicts.finding import NEVER
from loadtests.studies.verdicts.units import (
    REQUESTS_PER_BUCKET,
    Batch,
    Users,
    _Route,
    activity,
    alike,
    by_activity,
    play,
    unlike,
)
from router.evidence.sums import GROUPS


def test_the_busiest_unit_makes_as_many_more_requests_as_its_rank_says():
    parts = activity(100, 1.2)
    assert parts.sum() == pytest.approx(1)
    assert parts[0] / parts[9] == pytest.approx(10**1.2)
    drawn = np.bincount(by_activity(100, 1.2)) / len(by_activity(100, 1.2))
    assert drawn == pytest.approx(parts, abs=1e-5)


def counts_of(users: Users, look: int = 0) -> np.ndarray:
    """Return the counts of one bucket, over runs and groups: requests, events, other requests, other events."""
    route = _Route(users, 20, np.random.default_rng(3))
    route.serve(look)
    ((counts, *_),) = [list(route.seen._by_group.values())]
    assert counts.shape == (20, 4, GROUPS)
    return counts.sum(axis=(0, 2))


STEADY = Users(alike(0.1), 0.0, lambda _: 0.25, units=5000, zipf=0.0)


def test_shares_and_rates_are_as_told():
    requests, events, others, other_events = counts_of(STEADY)
    assert requests + others == 20 * REQUESTS_PER_BUCKET
    assert requests / (requests + others) == pytest.approx(0.25, abs=0.02)
    assert events / requests == pytest.approx(0.1, abs=0.01)
    assert other_events / others == pytest.approx(0.1, abs=0.01)


def test_a_worse_candidate_is_worse_by_that_much():
    requests, events, others, other_events = counts_of(replace(STEADY, worse_by=0.2))
    assert events / requests - other_events / others == pytest.approx(0.2, abs=0.02)


def test_bursts_repeat_failures_only():
    requests, events, others, other_events = counts_of(replace(STEADY, burst=6))
    assert requests + others - events - other_events == pytest.approx(0.9 * 20 * REQUESTS_PER_BUCKET, rel=0.01)
    assert events + other_events == pytest.approx(3.5 * 0.1 * 20 * REQUESTS_PER_BUCKET, rel=0.02)


def test_batch_clients_slow_both_arms_while_they_are_busy():
    users = replace(STEADY, batch=Batch(2, 500, slow=0.4))
    for look, rate in ((0, 0.5), (5, 0.1)):
        requests, events, others, other_events = counts_of(users, look)
        assert events / requests == pytest.approx(rate, abs=0.02)
        assert other_events / others == pytest.approx(rate, abs=0.02)
        assert requests + others == 20 * (REQUESTS_PER_BUCKET + 1000 * (look == 0))


def test_night_users_are_active_in_their_minutes_only():
    users = replace(STEADY, by_night=0.25, day_factor=3.0)
    day, night = counts_of(users, 0), counts_of(users, 6)
    assert (day[0] + day[2]) / (night[0] + night[2]) == pytest.approx(3, rel=0.1)
    assert day[1] / day[0] == pytest.approx(0.3, abs=0.02)
    assert night[1] / night[0] == pytest.approx(0.1, abs=0.03)


def test_a_canary_that_is_worse_for_alike_users_is_found_and_one_that_is_not_is_kept():
    worse = Users(alike(0.1), 0.0, lambda _: 0.25, worse_by=0.1)
    assert play(worse, 20, np.random.default_rng(4)).found == 1
    unlike_users = Users(unlike(), 0.0, lambda _: 0.25, units=1000)
    assert (play(unlike_users, 20, np.random.default_rng(4)).look == NEVER).all()
