"""The evidence is compared with its definition, by enumerating every outcome of a few requests."""

import math
from functools import cache
from itertools import product
from operator import mul

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from router.evidence.evidence import (
    BASE_RATES,
    ODDS,
    ODDS_IN_FAVOUR,
    Stratum,
    compare,
    drawn_scores,
    pairs,
    start_weight,
)
from router.evidence.sums import BUCKET_S

ALPHA = 0.01
NEEDED = -math.log(ALPHA)
ROUNDING = 1 + 1e-9
MARGINS = [0.0, 0.01, 0.2]
RATES = [0.0, 0.001, 0.03, 0.4]
OLDEST = Stratum(0.05, 0, 0, 0, 0, 0)


def outcomes(n, share, rate, other_rate, bucket_s=0):
    """Yield the (probability, stratum) of every outcome of n requests."""
    for requests in range(n + 1):
        for events, others in product(range(requests + 1), range(n - requests + 1)):
            probability = (
                binom.pmf(requests, n, share)
                * binom.pmf(events, requests, rate)
                * binom.pmf(others, n - requests, other_rate)
            )
            yield probability, Stratum(share, requests, events, n - requests, others, bucket_s)


def expected(side, outcomes_, margin, before=()):
    return sum(p * math.exp(getattr(compare([*before, stratum], margin), side)) for p, stratum in outcomes_ if p)


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("share", [0.0001, 0.05, 0.5, 0.9])
@pytest.mark.parametrize("other_rate", RATES)
def test_neither_side_gains_on_average_where_the_candidate_is_worse_by_exactly_the_margin(margin, share, other_rate):
    possible = list(outcomes(4, share, other_rate + margin, other_rate))
    assert expected("against", possible, margin) <= ROUNDING
    assert expected("in_favour", possible, margin) <= ROUNDING


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize(("rate", "other_rate"), [(0.0, 0.1), (0.02, 0.3), (0.1, 0.11)])
def test_evidence_against_does_not_gain_where_the_candidate_is_better(margin, rate, other_rate):
    assert expected("against", list(outcomes(4, 0.3, rate, other_rate)), margin) <= ROUNDING


@pytest.mark.parametrize(("rate", "other_rate"), [(0.3, 0.01), (0.9, 0.5), (1.0, 0.0)])
def test_evidence_in_favour_does_not_gain_where_the_candidate_is_worse(rate, other_rate):
    assert expected("in_favour", list(outcomes(4, 0.3, rate, other_rate)), 0.2) <= ROUNDING


counted = st.tuples(st.integers(0, 300), st.integers(0, 2000), st.floats(0, 1), st.floats(0, 0.2))
strata = st.lists(
    st.builds(
        lambda share, counts, bucket: Stratum(
            share, counts[0], int(counts[0] * counts[2]), counts[1], int(counts[1] * counts[3]), bucket * BUCKET_S
        ),
        st.sampled_from([0.01, 0.05, 0.5]),
        counted,
        st.integers(0, 200),
    ),
    max_size=6,
)


def best_stop(margin, side, next_steps, steps, counts=(0, 0, 0, 0)):
    """Return the highest mean of the e-process under any stopping rule and any choice of the next step.

    An adversary chooses among `next_steps`. Each holds the (probability, counts to add) of its outcomes.
    """

    @cache
    def value(counts, left):
        now = math.exp(compare([Stratum(0.3, *counts)], margin)[side])
        if not left:
            return now
        later = (
            sum(p * value(tuple(map(sum, zip(counts, more, strict=True))), left - 1) for p, more in choice if p)
            for choice in next_steps
        )
        return max(now, *later)

    return value(counts, steps)


CANDIDATE, OTHER = 0, 2


def one_request(arm, rate):
    """Return the outcomes of one request of an arm."""
    fine, failed = [0, 0, 0, 0], [0, 0, 0, 0]
    fine[arm] = failed[arm] = failed[arm + 1] = 1
    return [(1 - rate, tuple(fine)), (rate, tuple(failed))]


def drawn(rate, other_rate, share=0.3):
    """Return the outcomes of one request whose arm is drawn."""
    candidate = [(share * p, counts) for p, counts in one_request(CANDIDATE, rate)]
    return candidate + [((1 - share) * p, counts) for p, counts in one_request(OTHER, other_rate)]


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("margin", MARGINS)
def test_no_rule_of_when_to_stop_gains_even_if_the_rates_drift_together(side, margin):
    drifting = [drawn(other_rate + margin, other_rate) for other_rate in RATES]
    assert best_stop(margin, side, drifting, 7) <= ROUNDING


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("other_rate", RATES)
@pytest.mark.parametrize(("requests", "others"), [(0, 6), (1, 7), (4, 4), (6, 2)])
def test_given_the_requests_of_both_arms_neither_side_gains_on_average(margin, other_rate, requests, others):
    """No more than this holds by requests if units are drawn, whatever the weights say."""
    for side in (0, 1):
        mean = sum(
            binom.pmf(events, requests, other_rate + margin)
            * binom.pmf(other_events, others, other_rate)
            * math.exp(compare([Stratum(0.3, requests, events, others, other_events)], margin, by_unit=True)[side])
            for events, other_events in product(range(requests + 1), range(others + 1))
        )
        assert mean <= ROUNDING


@given(strata, st.sampled_from(MARGINS), st.sampled_from(RATES), st.sampled_from([0.01, 0.3]), st.booleans())
@settings(max_examples=60)
def test_evidence_of_all_buckets_is_no_more_than_that_of_a_supermartingale(before, margin, other_rate, share, worse):
    """The definition is the mean over starts and pairs of the products of the scores of every request."""
    before = [OLDEST, *before, Stratum(share, 3, 1, 9, 0, 77 * BUCKET_S)]
    terms = []
    for start in range(201):
        for i, pair in enumerate(pairs(margin, worse)):
            log = math.log(start_weight(start)) + pair.log_weight
            for of, requests, events, others, other_events, bucket_s in before:
                if bucket_s >= start * BUCKET_S:
                    counts = (events, requests - events, other_events, others - other_events)
                    log += sum(map(mul, counts, drawn_scores(of, margin, worse)[i].tolist()))
            terms.append(log)
    assert compare(before, margin)[0 if worse else 1] <= np.logaddexp.reduce(terms) + 1e-6


@given(strata, st.sampled_from(MARGINS), st.randoms())
@settings(max_examples=50)
def test_only_the_sums_matter_neither_order_nor_how_they_were_added(given_strata, margin, random):
    halves = [
        part
        for share, requests, events, others, other_events, bucket_s in given_strata
        for part in (
            Stratum(share, events, events, 0, 0, bucket_s),
            Stratum(share, requests - events, 0, others, other_events, bucket_s),
        )
    ]
    random.shuffle(halves)
    assert compare(halves, margin) == pytest.approx(compare(given_strata, margin), abs=1e-6)


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.05, 0.5])
def test_one_failure_never_aborts(share):
    first = Stratum(share, 1, 1, 0, 0)
    later = Stratum(share, 1, 1, round(1 / share), 0)
    assert max(compare([first], 0.0).against, compare([later], 0.0).against) < NEEDED


def test_a_canary_that_fails_half_of_its_requests_is_gone_after_a_handful():
    assert compare([Stratum(0.05, 8, 4, 152, 0)], 0.01).against >= NEEDED


@pytest.mark.parametrize("good_buckets", [12, 180, 1000])
def test_an_hour_of_good_behaviour_does_not_protect_a_canary_that_turned_bad(good_buckets):
    good = [Stratum(0.05, 100, 0, 1900, 2, i * BUCKET_S) for i in range(good_buckets)]
    turned = Stratum(0.05, 30, 15, 570, 1, good_buckets * BUCKET_S)
    assert compare([*good, turned], 0.01).against >= NEEDED
    assert compare([stratum._replace(bucket_s=0) for stratum in [*good, turned]], 0.01).against < 0


def test_an_outage_that_hits_all_arms_is_not_held_against_the_canary():
    good = [Stratum(0.05, 100, 0, 1900, 2, i * BUCKET_S) for i in range(12)]
    outage = Stratum(0.05, 100, 50, 1900, 950, 12 * BUCKET_S)
    assert compare([*good, outage], 0.0).against < NEEDED


def test_a_ramp_during_an_outage_is_not_held_against_the_canary():
    """Added up over both weights the canary looks worse (26 % against 3 %), but it is the same under each of them."""
    quiet = Stratum(0.01, 20, 0, 1980, 20, 0)
    outage = Stratum(0.5, 1000, 500, 1000, 500, 60)
    assert compare([quiet, outage], 0.0).against < NEEDED
    assert compare([Stratum(0.25, 1020, 500, 2980, 520)], 0.0).against >= NEEDED


def test_a_candidate_that_is_as_good_is_proven_so_where_there_is_a_margin():
    same = Stratum(0.5, 2000, 20, 2000, 20)
    assert compare([same], 0.02).in_favour >= NEEDED
    assert compare([same], 0.0).in_favour < NEEDED


def test_a_better_candidate_is_proven_not_worse_without_a_margin():
    assert compare([Stratum(0.5, 2000, 10, 2000, 80)], 0.0).in_favour >= NEEDED


@pytest.mark.parametrize(
    "nothing",
    [[], [Stratum(0.05, 0, 0, 0, 0)], [Stratum(1.0, 50, 50, 0, 0)], [Stratum(0.0, 0, 0, 50, 50)]],
    ids=["no strata", "no requests", "no others", "no candidate"],
)
def test_without_anything_to_compare_there_is_no_evidence(nothing):
    assert max(compare(nothing, 0.01)) <= 1e-9


@pytest.mark.parametrize("by_unit", [True, False])
@pytest.mark.parametrize("requests", [5, 100, 5000])
def test_a_canary_that_fails_nothing_is_not_aborted_however_many_requests_it_gets(by_unit, requests):
    """By its weight the canary would get 500."""
    assert compare([Stratum(0.05, requests, 0, 9500, 10)], 0.01, by_unit=by_unit).against < NEEDED


@pytest.mark.parametrize("requests", [250, 500, 1000])
def test_where_units_are_drawn_a_bad_canary_is_found_whatever_its_share_of_the_requests(requests):
    assert compare([Stratum(0.05, requests, requests // 10, 9500, 95)], 0.01, by_unit=True).against >= NEEDED


def test_nothing_is_too_bad_where_everything_is_allowed():
    assert max(compare([Stratum(0.5, 50, 50, 50, 0)], 1.0)) <= 1e-9


def test_weights_sum_to_one():
    tail = (1 - start_weight(0)) * 100_000**-0.25
    assert math.fsum(map(start_weight, range(100_000))) + tail == pytest.approx(1)
    for weighted in (BASE_RATES, ODDS, ODDS_IN_FAVOUR):
        assert math.fsum(weight for _, weight in weighted) == pytest.approx(1)


@pytest.mark.parametrize("by_unit", [True, False])
@pytest.mark.parametrize(("rate", "other_rate"), [(0.2, 0.1), (0.15, 0.1), (0.04, 0.02), (0.01, 0.001), (0.6, 0.4)])
def test_a_difference_is_found_at_every_rate(by_unit, rate, other_rate):
    """Rates of 10 % lay between the pairs that were tried once, so 20 % beside 10 % was never found."""
    n = 100_000
    found = compare([Stratum(0.5, n, round(n * rate), n, round(n * other_rate))], 0.0, by_unit=by_unit)
    assert found.against > 100


def test_busy_times_of_one_arm_that_are_slow_times_of_both_are_not_held_against_it():
    """Added up, the candidate has 161 of 500 and the other arm 44 of 500."""
    busy_and_slow = Stratum(0.5, 400, 160, 100, 40, 0)
    quiet_and_fast = Stratum(0.5, 100, 1, 400, 4, BUCKET_S)
    for by_unit in (True, False):
        assert compare([busy_and_slow, quiet_and_fast], 0.0, by_unit=by_unit).against < 0


@pytest.mark.parametrize("margin", [0.0, 0.01, 0.1, 0.3, 0.5, 0.9, 0.999])
def test_every_pair_that_is_tried_against_a_candidate_is_worse_than_allowed(margin):
    for pair in pairs(margin, worse=True):
        assert pair.other_rate + margin < pair.rate < 1


def test_a_candidate_within_a_large_margin_is_not_aborted():
    """66 % beside 25 % is allowed with a margin of 50 %."""
    assert compare([Stratum(0.5, 10_000, 6_600, 10_000, 2_500)], 0.5).against < 0
    assert compare([Stratum(0.5, 10_000, 8_500, 10_000, 2_500)], 0.5).against >= NEEDED
