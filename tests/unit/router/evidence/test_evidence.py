"""The evidence is compared with its definition, by enumerating every outcome of a few requests."""

import math
from functools import cache
from itertools import product
from operator import mul

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom

from router.evidence.evidence import (
    BASE_RATES,
    ODDS,
    ODDS_IN_FAVOUR,
    Evidence,
    Stratum,
    compare,
    compare_to_bound,
    log_sum,
    pairs,
    scores,
    start_weight,
)
from router.evidence.sums import BUCKET_S
from router.evidence.time_buckets import block_start_s

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


def best_stop(margin, side, next_steps, steps, by_unit=False, counts=(0, 0, 0, 0)):
    """Return the highest mean of the e-process under any stopping rule and any choice of the next step.

    An adversary chooses among `next_steps`. Each holds the (probability, counts to add) of its outcomes.
    """

    @cache
    def value(counts, left):
        now = math.exp(compare([Stratum(0.3, *counts)], margin, by_unit=by_unit)[side])
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
@pytest.mark.parametrize("by_unit", [False, True])
def test_no_rule_of_when_to_stop_gains_even_if_the_rates_drift_together(side, margin, by_unit):
    drifting = [drawn(other_rate + margin, other_rate) for other_rate in RATES]
    assert best_stop(margin, side, drifting, 7, by_unit) <= ROUNDING


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("other_rate", RATES)
def test_where_units_are_drawn_it_does_not_matter_whose_request_comes_next(side, margin, other_rate):
    anyone = [one_request(CANDIDATE, other_rate + margin), one_request(OTHER, other_rate)]
    assert best_stop(margin, side, anyone, 12, by_unit=True) <= ROUNDING


def test_where_requests_are_drawn_the_draw_is_part_of_the_evidence():
    """So units need the other way: a choice of whose request comes next would make evidence out of nothing."""
    anyone = [one_request(CANDIDATE, 0.03), one_request(OTHER, 0.03)]
    assert best_stop(0.0, 0, anyone, 12) > 1.05


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
                    log += sum(map(mul, counts, scores(of, margin, worse)[i]))
            terms.append(log)
    assert compare(before, margin)[0 if worse else 1] <= log_sum(terms) + 1e-6


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


@given(strata, st.sampled_from(MARGINS))
@settings(max_examples=50)
def test_merging_old_buckets_never_adds_evidence(given_strata, margin):
    starts = [Stratum(0.05, 0, 0, 0, 0, bucket * BUCKET_S) for bucket in range(201)]
    whole = [*starts, *given_strata]
    merged = [stratum._replace(bucket_s=block_start_s(stratum.bucket_s, 250 * BUCKET_S)) for stratum in whole]
    for by_unit in (True, False):
        more, less = (compare(one, margin, by_unit=by_unit) for one in (whole, merged))
        assert all(less[side] <= more[side] + 1e-9 for side in (0, 1))


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("share", [0.01, 0.5])
@pytest.mark.parametrize("worse", [True, False])
def test_scores_are_ratios_to_the_nearest_rates_that_are_allowed(margin, share, worse):
    def divergence(p, q):
        return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))

    for event, no_event, other_event, other_no_event in scores(share, margin, worse):
        if event == no_event == 0:  # as good as the others, which is allowed without a margin too
            continue
        null, rate = solve(event, no_event)
        other_null, other = solve(other_event, other_no_event)
        best = minimize_scalar(
            lambda r, rate=rate, other=other: share * divergence(rate, r + margin) + (1 - share) * divergence(other, r),
            bounds=(1e-12, 1 - margin - 1e-12),
            method="bounded",
            options={"xatol": 1e-12},
        )
        assert null == pytest.approx(other_null + margin, abs=1e-7)
        assert other_null == pytest.approx(best.x, abs=1e-5)


def solve(event, no_event):
    """Return (null, rate) from ln(rate / null) and ln((1 - rate) / (1 - null))."""
    a, b = math.exp(event), math.exp(no_event)
    null = (1 - b) / (a - b)
    return null, a * null


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.05, 0.5])
def test_one_failure_never_aborts(share):
    first = Stratum(share, 1, 1, 0, 0)
    later = Stratum(share, 1, 1, round(1 / share), 0)
    assert max(compare([first], 0.0).against, compare([later], 0.0).against) < NEEDED


def test_a_canary_that_fails_half_of_its_requests_is_gone_after_a_handful():
    assert compare([Stratum(0.05, 6, 3, 114, 0)], 0.01).against >= NEEDED


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


@pytest.mark.parametrize("limit", [0.001, 0.05, 0.5, 0.99])
def test_a_rate_at_its_bound_gains_on_neither_side(limit):
    for side in (0, 1):
        mean = sum(binom.pmf(k, 12, limit) * math.exp(compare_to_bound(12, k, limit)[side]) for k in range(13))
        assert mean <= ROUNDING


def test_a_rate_is_found_above_its_bound_and_below_it():
    assert compare_to_bound(200, 30, 0.05).against >= NEEDED
    assert compare_to_bound(400, 4, 0.05).in_favour >= NEEDED
    assert compare_to_bound(0, 0, 0.05) == pytest.approx((0, 0))


@pytest.mark.parametrize(
    ("trials", "events", "limit", "evidence"),
    [
        (9, 1, 0.0, Evidence(math.inf, -math.inf)),
        (9, 0, 0.0, Evidence(0, 0)),
        (9, 9, 1.0, Evidence(0, 0)),
        (9, 8, 1.0, Evidence(-math.inf, math.inf)),
    ],
)
def test_a_bound_at_the_end_of_the_scale_is_refuted_by_one_event(trials, events, limit, evidence):
    assert compare_to_bound(trials, events, limit) == evidence
