"""The evidence by units is compared with its promise, by enumerating every draw of a few units."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.evidence.evidence import Stratum, compare
from router.evidence.sums import ALL_UNITS, GROUP_BUCKET_S, GROUPS, SumKey
from router.evidence.units import SLOPES, UnitStratum, by_group, compare_units, compare_units_to_bound

ROUNDING = 1 + 1e-9
NEEDED = math.log(100)


def counts_of(units, is_drawn):
    """Return the counts by group of units that are each alone in a group: (requests, events) of each."""
    counts = np.zeros((4, GROUPS))
    for group, ((requests, events), drawn) in enumerate(zip(units, is_drawn, strict=True)):
        counts[0 if drawn else 2, group] += requests
        counts[1 if drawn else 3, group] += events
    return counts


units_of_a_route = st.lists(
    st.tuples(st.sampled_from([1, 2, 7, 1000]), st.floats(0, 1)).map(lambda unit: (unit[0], round(unit[0] * unit[1]))),
    min_size=1,
    max_size=7,
)


@given(units_of_a_route, st.sampled_from([0.01, 0.1, 0.5, 0.9]))
@settings(max_examples=40)
def test_if_the_arms_are_alike_no_units_gain_on_average_however_unlike_they_are(units, share):
    """The mean is over all ways to draw the units. What each of them does is the same on either arm."""
    mean = np.zeros(2)
    for is_drawn in product((True, False), repeat=len(units)):
        chance = math.prod(share if drawn else 1 - share for drawn in is_drawn)
        mean += chance * np.exp(compare_units([UnitStratum(share, counts_of(units, is_drawn))], 0.0))
    assert mean.max() <= ROUNDING


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("requests", [1, 100, 1_000_000])
def test_one_unit_proves_nothing_however_many_requests_it_makes(share, requests):
    counts = np.ones((4, GROUPS)) * np.array([10, 0, 900, 9])[:, None]
    counts[:2, 7] += requests
    assert compare_units([UnitStratum(share, counts)], 0.0).against < 2
    of_all = Stratum(share, *map(int, counts.sum(axis=1)))
    assert requests == 1 or compare([of_all], 0.0, by_unit=True).against >= NEEDED


def test_five_units_that_fail_on_a_small_arm_are_enough():
    counts = np.ones((4, GROUPS)) * np.array([0, 0, 5, 0])[:, None]
    counts[0, :10], counts[1, :5] = 1, 1
    assert compare_units([UnitStratum(0.05, counts)], 0.0).against >= NEEDED
    counts[1, 3:5] = 0
    assert compare_units([UnitStratum(0.05, counts)], 0.0).against < NEEDED


def many(rate, other_rate, groups=GROUPS):
    """Return counts of alike units: of each group 100 requests to the candidate and 300 to the other arm."""
    rng = np.random.default_rng(2)
    counts = np.zeros((4, GROUPS))
    counts[0, :groups], counts[2, :groups] = 100, 300
    counts[1], counts[3] = rng.binomial(counts[0].astype(int), rate), rng.binomial(counts[2].astype(int), other_rate)
    return counts


def test_both_sides_are_found_among_alike_units():
    assert compare_units([UnitStratum(0.25, many(0.04, 0.02))], 0.0).against >= NEEDED
    assert compare_units([UnitStratum(0.25, many(0.02, 0.02))], 0.2).in_favour >= NEEDED
    assert max(compare_units([UnitStratum(0.25, many(0.02, 0.02))], 0.0)) < NEEDED


@pytest.mark.parametrize(("users", "share"), [(200, 0.05), (200, 0.25), (1000, 0.05)])
def test_harm_to_few_units_that_the_candidate_has_not_got_yet_is_not_ruled_out(users, share):
    """Users with 2.5 % of the traffic always fail on the candidate, so it is worse by more than the margin of 2 %."""
    rng = np.random.default_rng(6)
    found = 0
    for _ in range(200):
        is_candidate = rng.random(users) < share
        group = rng.integers(0, GROUPS, users)
        requests = np.full(users, 600)
        rates = np.where(is_candidate & (np.arange(users) < users // 40), 1.0, 0.01)
        events = rng.binomial(requests, rates)
        counts = np.zeros((4, GROUPS))
        for row, (of, what) in enumerate(product((is_candidate, ~is_candidate), (requests, events))):
            np.add.at(counts[row], group[of], what[of])
        found += compare_units([UnitStratum(share, counts)], 0.02).in_favour >= NEEDED
    assert found <= 2


def test_failures_that_come_in_bursts_are_less_evidence_than_single_ones():
    single = many(0.08, 0.02)
    bursts = single.copy()
    bursts[1] = np.where(np.arange(GROUPS) % 8 == 0, 8 * single[1].mean(), 0)
    one, other = (compare_units([UnitStratum(0.25, counts)], 0.0).against for counts in (single, bursts))
    assert other < one / 2


def test_a_good_past_does_not_protect_an_arm_that_turned_bad():
    good = [UnitStratum(0.25, many(0.02, 0.02), minute * GROUP_BUCKET_S) for minute in range(60)]
    bad = UnitStratum(0.25, many(0.1, 0.02), 60 * GROUP_BUCKET_S)
    assert compare_units([*good, bad], 0.0).against >= NEEDED
    together = [UnitStratum(0.25, each.counts, 0) for each in [*good, bad]]
    assert compare_units(together, 0.0).against < NEEDED


def test_the_arms_are_compared_at_the_same_time_only():
    """The share of the candidate and the rates of both arms grow together. Added up, the candidate looks worse."""
    quiet, busy = np.zeros((4, GROUPS)), np.zeros((4, GROUPS))
    quiet[:] = np.array([10, 0, 990, 10])[:, None]
    busy[:] = np.array([500, 250, 500, 250])[:, None]
    strata = [UnitStratum(0.01, quiet, 0), UnitStratum(0.5, busy, GROUP_BUCKET_S)]
    assert compare_units(strata, 0.0).against < NEEDED
    assert compare_units([UnitStratum(0.25, quiet + busy)], 0.0).against >= NEEDED


def test_runs_side_by_side_are_as_one_by_one():
    one, other = many(0.04, 0.02), many(0.02, 0.03)
    together = compare_units([UnitStratum(0.25, np.stack([one, other]))], 0.01)
    for run, counts in enumerate((one, other)):
        assert [side[run] for side in together] == pytest.approx(compare_units([UnitStratum(0.25, counts)], 0.01))


def test_without_counts_there_is_no_evidence():
    assert compare_units([], 0.0) == (0, 0)
    assert max(compare_units([UnitStratum(0.5, np.zeros((4, GROUPS)))], 0.01)) <= 1e-9


def test_weights_sum_to_one():
    assert math.fsum(weight for _, weight in SLOPES) == pytest.approx(1)


def test_a_bound_is_held_against_groups_and_not_requests():
    trials = np.full(GROUPS, 100.0)
    everywhere, in_one = trials * 0.1, np.where(np.arange(GROUPS) == 3, 640.0, 0.0)
    assert compare_units_to_bound(trials, everywhere, 0.05).against >= NEEDED
    assert compare_units_to_bound(np.where(in_one > 0, 740.0, 100.0), in_one, 0.05).against < NEEDED
    assert compare_units_to_bound(trials, trials * 0.01, 0.4).in_favour >= NEEDED
    assert compare_units_to_bound(trials, trials * 0.0, 0.05).in_favour < NEEDED


def test_sums_by_group_become_arrays():
    key = SumKey(60, 2, "canary", "2", "", "requests")
    arrays = by_group({key._replace(group=3): 5, key._replace(group=0): 1})
    assert list(arrays) == [key]
    assert key.group == ALL_UNITS
    assert arrays[key][:4].tolist() == [1, 0, 0, 5]


def of_unlike_units(rng, *, knows_spread):
    """Return the evidence against an arm that is no worse. One unit in 50 fails half of the time, and goes to that arm.

    The others never fail, and go to the other arm.
    """
    units = 2_000
    is_odd, group, requests = rng.random(units) < 0.02, rng.integers(GROUPS, size=units), rng.geometric(0.1, units)
    share = np.where(is_odd, 0.9, 0.01)
    is_own, has_failed = rng.random(units) < share, is_odd & (rng.random(units) < 0.5)

    def counts(own, other):
        columns = own * is_own, own * (is_own & has_failed), other * ~is_own, other * (~is_own & has_failed)
        return np.stack([np.bincount(group, each * requests, GROUPS) for each in columns])

    spread = np.sqrt(share * (1 - share))
    plain, weighed = counts(1, 1), counts(1 - share, share)
    mean_share = weighed[2].sum() / plain[2].sum()
    stratum = UnitStratum(mean_share, plain, 0, weighed, counts(spread, spread) if knows_spread else None)
    return compare_units([stratum], 0.0).against


@pytest.mark.parametrize("knows_spread", [True, False])
def test_unlike_units_with_shares_of_their_own_prove_nothing(knows_spread):
    """By their mean share they would, in 2 % of the runs."""
    rng = np.random.default_rng(1)
    found = np.mean([of_unlike_units(rng, knows_spread=knows_spread) >= NEEDED for _ in range(1_000)])
    assert found < 0.001 if knows_spread else found > 0.01
