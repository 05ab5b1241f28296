"""The evidence of weighed rewards: its promise by enumerating outcomes, then by runs that are looked at all the time.

The runs are those of the table in docs/bandits.md. Looks are at the end of time buckets, as the sums allow.
"""

import math
from collections.abc import Callable
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.evidence.evidence import start_weight
from router.evidence.sums import GROUPS
from router.evidence.units import UnitStratum, compare_units
from router.evidence.weighed import STRENGTHS
from router.evidence.weighed_values import CENTRES, WeighedValues, about_centres, compare_weighed_values
from tests.support.components import in_soak

ROUNDING = 1 + 1e-9
ALPHA = 0.05
NEEDED = -math.log(ALPHA)
NEVER = 10**9
Path = Callable[[np.ndarray], np.ndarray]


def of_decisions(outcome, shares, bucket_s=0) -> WeighedValues:
    """Return the sums of decisions, of which each is (went to the arm, value) and was drawn with its share."""
    own = [(1 - share, value) for (is_own, value), share in zip(outcome, shares, strict=True) if is_own]
    others = [(share, value) for (is_own, value), share in zip(outcome, shares, strict=True) if not is_own]
    sums = [sum(weight * value**power for weight, value in each) for each in (own, others) for power in range(3)]
    return WeighedValues(*sums, bucket_s)


def mean_evidence(shares, laws, other_laws, margin):
    """Return the means of both e-processes over all outcomes. A law is (value, other value, chance of the first).

    The start of the comparison has a part of the weight, which is taken out: the other starts have no decisions.
    """
    mean = np.zeros(2)
    for outcome in product(product((True, False), repeat=2), repeat=len(shares)):
        chance, said = 1.0, []
        for (is_own, is_first), share, law, other in zip(outcome, shares, laws, other_laws, strict=True):
            first, second, part = law if is_own else other
            chance *= (share if is_own else 1 - share) * (part if is_first else 1 - part)
            said.append((is_own, first if is_first else second))
        if chance:
            evidence = compare_weighed_values([of_decisions(said, shares)], margin)
            mean += chance * np.exp(evidence) / start_weight(0)
    return mean


part = st.floats(0, 1)
decisions = st.lists(st.tuples(st.floats(0.0001, 0.9999), part, part, part), min_size=1, max_size=3)


@given(decisions, st.sampled_from([0.0, 0.02, 0.3]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_an_arm_that_is_lower_by_exactly_the_margin_gains_on_neither_side_whatever_drifts(drawn, margin, is_constant):
    """The arm may have other values than the trusted arm; only the means matter."""
    shares = [each[0] for each in drawn]
    other_laws = [(margin + (1 - margin) * high, margin, chance) for _, high, _, chance in drawn]
    means = [chance * high + (1 - chance) * low - margin for high, low, chance in other_laws]
    laws = [(mean, mean, 1.0) if is_constant else (1.0, 0.0, mean) for mean in means]
    assert mean_evidence(shares, laws, other_laws, margin).max() <= ROUNDING


@given(decisions, st.sampled_from([0.0, 0.02, 0.3]), st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=60, deadline=None)
def test_values_about_each_centre_gain_on_neither_side(drawn, margin, spread):
    """`spread` is how far the arm's values are from their mean, as a part of what there is room for."""
    (share, high, low, chance), *_ = drawn
    high, low = (margin + (1 - margin) * each for each in (high, low))
    mean = chance * high + (1 - chance) * low - margin
    of_arm = (mean + spread * (1 - mean), mean), (mean * (1 - spread), 1 - mean)
    of_other = (high, chance), (low, 1 - chance)
    total = np.zeros((2, len(CENTRES), len(STRENGTHS)))
    for is_own, law, part in ((True, of_arm, share), (False, of_other, 1 - share)):
        for value, probability in law:
            sums = np.array(of_decisions([(is_own, value)], [share])[:-1])[:, None]
            total += part * probability * np.exp(about_centres(sums, margin)[..., 0])
    assert total.max() <= ROUNDING


def test_an_arm_that_is_better_or_worse_gains_on_its_side():
    for mean, side in ((0.2, 0), (0.9, 1)):
        found = mean_evidence([0.2, 0.9], [(mean, mean, 1.0)] * 2, [(0.6, 0.6, 1.0)] * 2, 0.1)
        assert found[side] > 1 > found[1 - side]


def test_strata_may_be_merged_and_their_order_does_not_matter():
    parts = [
        WeighedValues(4, 1, 1, 5, 2, 1, 60),
        WeighedValues(2, 1, 0.5, 1, 0, 0, 60),
        WeighedValues(3, 1, 1, 2, 1, 1),
    ]
    whole = compare_weighed_values([parts[2], WeighedValues(6, 2, 1.5, 6, 2, 1, 60)], 0.01)
    assert compare_weighed_values(parts, 0.01) == pytest.approx(whole)
    assert compare_weighed_values(parts[::-1], 0.01) == pytest.approx(whole)
    assert compare_weighed_values([], 0.01) == (0, 0)


class Cell(NamedTuple):
    """A kind of run: the path of the arm's share, the mean of the trusted arm, its swing, and the kind of values."""

    share: Path
    mean: float
    swing: float = 0.5
    kind: str = "clicks"


def steady(share: float) -> Path:
    return lambda bucket: np.full(len(bucket), share)


def with_the_level(bucket: np.ndarray) -> np.ndarray:
    return 0.5 + 0.45 * np.sin(2 * np.pi * bucket / 20)


def against_the_level(bucket: np.ndarray) -> np.ndarray:
    return 1 - with_the_level(bucket)


def up(bucket: np.ndarray) -> np.ndarray:
    return 0.01 + 0.98 * bucket / len(bucket)


def rare(bucket: np.ndarray) -> np.ndarray:
    """Return 1 % at night and 3 % by day."""
    return 0.01 + 0.02 * (np.sin(2 * np.pi * bucket / 20) > 0)


def level(cell: Cell, bucket: np.ndarray) -> np.ndarray:
    return cell.mean * (1 + cell.swing * np.sin(2 * np.pi * bucket / 20))


def values(rng: np.random.Generator, kind: str, mean: float, count: int) -> np.ndarray:
    if kind == "clicks":
        return (rng.random(count) < mean).astype(float)
    if kind == "narrow":  # a latency-like value
        return np.clip(rng.normal(mean, 0.05, count), 0, 1)
    return np.minimum((rng.random(count) < 0.5) * rng.exponential(2 * mean, count), 1)  # revenue: a part of the range


def stopped(cell: Cell, seed: int, worse_by: float = 0.0, *, buckets: int = 60, size: int = 200, looks: int = 20):
    """Return after how many decisions the arm, whose mean is lower by `worse_by` of it, is aborted; or `NEVER`."""
    rng, bucket = np.random.default_rng(seed), np.arange(buckets)
    strata = [WeighedValues(0, 0, 0, 0, 0, 0, 0)]
    for number, share, mean in zip(bucket, cell.share(bucket), level(cell, bucket), strict=True):
        own = int(rng.binomial(size, share))
        arm = values(rng, cell.kind, mean * (1 - worse_by), own)
        other = values(rng, cell.kind, mean, size - own)
        weighed = (1 - share) * np.array([own, arm.sum(), (arm**2).sum()])
        strata.append(WeighedValues(*weighed, *(share * np.array([size - own, other.sum(), (other**2).sum()])),
                                    10 + 10 * int(number)))  # fmt: skip
    for look in np.linspace(buckets / looks, buckets, looks).astype(int):
        if compare_weighed_values(strata[: look + 1], 0.0).against >= NEEDED:
            return int(look) * size
    return NEVER


SHARES = (steady(0.5), with_the_level, against_the_level, up, rare)
EQUAL = [
    Cell(share, mean, kind=kind)
    for share in SHARES
    for mean, kind in ((0.02, "clicks"), (0.1, "clicks"), (0.5, "clicks"), (0.5, "narrow"), (0.1, "revenue"))
]


@pytest.mark.parametrize("share", [with_the_level, rare])
def test_an_arm_that_is_as_good_stays_while_weights_and_rewards_swing(share):
    runs = 40
    aborted = sum(stopped(Cell(share, 0.1), seed, looks=10) < NEVER for seed in range(runs))
    assert aborted <= 0.05 * runs


def test_means_that_pool_over_time_would_be_fooled():
    """The share of the arm swings against the level, so its mean is far below that of the trusted arm."""
    bucket = np.arange(60)
    share, mean = against_the_level(bucket), level(Cell(against_the_level, 0.1), bucket)
    of_arm, of_other = (float((part * mean).sum() / part.sum()) for part in (share, 1 - share))
    assert of_other - of_arm > 0.04
    pooled = WeighedValues(*(0.5 * 12_000 * np.array([1, of_arm, of_arm, 1, of_other, of_other])), 10)
    assert compare_weighed_values([pooled], 0.0).against > NEEDED


def by_kinds(rng: np.random.Generator, worse_by: float = 0.0, *, knows_each: bool = True) -> list[WeighedValues]:
    """Return the sums of a bandit that looks at the request: it sends phones, whose clicks are few, to the arm."""
    strata = [WeighedValues(0, 0, 0, 0, 0, 0, 0)]
    for number in range(30):
        is_phone = rng.random(400) < 0.4
        share, mean = np.where(is_phone, 0.95, 0.05), np.where(is_phone, 0.05, 0.4)
        is_own = rng.random(400) < share
        clicks = rng.random(400) < mean * np.where(is_own, 1 - worse_by, 1)
        known = share if knows_each else np.full(400, share.mean())
        drawn = list(zip(is_own.tolist(), clicks.astype(float).tolist(), strict=True))
        strata.append(of_decisions(drawn, known.tolist(), 10 + 10 * number))
    return strata


def test_an_arm_that_gets_the_requests_with_few_rewards_is_compared_among_those_that_either_could_have_got():
    aborted = [
        compare_weighed_values(by_kinds(np.random.default_rng(seed)), 0.0).against >= NEEDED for seed in range(40)
    ]
    assert sum(aborted) <= 2
    assert compare_weighed_values(by_kinds(np.random.default_rng(1), 0.5), 0.0).against >= NEEDED
    of_average = by_kinds(np.random.default_rng(1), knows_each=False)
    assert compare_weighed_values(of_average, 0.0).against >= NEEDED


@in_soak
@pytest.mark.parametrize("cell", EQUAL)
def test_an_arm_that_is_as_good_stays_in_95_of_100_runs_in_every_cell(cell):
    runs = 200
    assert sum(stopped(cell, seed) < NEVER for seed in range(runs)) <= 0.05 * runs


def ninth_of_ten(cell: Cell, worse_by: float, **more: int) -> int:
    return sorted(stopped(cell, seed, worse_by, **more) for seed in range(10))[8]


@pytest.mark.parametrize(
    ("cell", "worse_by", "most", "size"),
    [
        (Cell(steady(0.5), 0.1), 0.5, 4_000, 200),
        (Cell(with_the_level, 0.1), 0.5, 6_000, 200),
        (Cell(against_the_level, 0.1), 0.5, 6_000, 200),
        (Cell(steady(0.01), 0.1), 0.5, 80_000, 2_000),
        (Cell(steady(0.5), 0.5, kind="narrow"), 0.1, 3_000, 200),
        (Cell(steady(0.5), 0.02, kind="revenue"), 0.5, 12_000, 200),
    ],
)
def test_a_bad_arm_goes_after_so_many_decisions_in_nine_of_ten_runs(cell, worse_by, most, size):
    assert ninth_of_ten(cell, worse_by, size=size, looks=60) <= most


UNITS_OF = 50
"""Decisions of a unit."""


@cache
def _paths(buckets: int, share: Path) -> np.ndarray:
    return share(np.arange(buckets))


def stopped_by_units(share: Path, seed: int, worse_by: float = 0.0, *, units: int = 2_000, stays: bool = True) -> int:
    """Return the same where units are drawn. A third of them has 13 times as many clicks as the others.

    A unit keeps its arm as long as the weights allow. Its decisions are spread over the run or, unless it `stays`, over
    three buckets.
    """
    buckets, rng = 60, np.random.default_rng(seed)
    shares, means = _paths(buckets, share), level(Cell(share, 0.2), np.arange(buckets))
    unit = np.repeat(np.arange(units), UNITS_OF)
    place, group = rng.random(units)[unit], rng.integers(GROUPS, size=units)[unit]
    effect = rng.choice([0.2, 2.6], p=[2 / 3, 1 / 3], size=units)[unit]
    came = rng.integers(buckets, size=units)[unit] + rng.integers(3, size=len(unit))
    when = rng.integers(buckets, size=len(unit)) if stays else np.minimum(came, buckets - 1)
    is_own = place < shares[when]
    clicks = rng.random(len(unit)) < means[when] * effect * np.where(is_own, 1 - worse_by, 1)

    def tabled(chosen: np.ndarray) -> np.ndarray:
        return np.bincount((when * GROUPS + group)[chosen], minlength=buckets * GROUPS).reshape(buckets, GROUPS)

    counts = np.stack([tabled(is_own), tabled(is_own & clicks), tabled(~is_own), tabled(~is_own & clicks)], axis=1)
    weights = np.stack([1 - shares, 1 - shares, shares, shares], axis=1)
    weighed = counts * weights[:, :, None]
    totals = weighed.sum(axis=2)
    by_decision = [WeighedValues(0, 0, 0, 0, 0, 0, 0)] + [
        WeighedValues(n, v, v, m, w, w, 10 + 10 * number) for number, (n, v, m, w) in enumerate(totals.tolist())
    ]
    short = [_shortfall(each) for each in (counts, weighed)]
    by_unit = [
        UnitStratum(float(shares[number]), short[0][number], 10 + 10 * number, short[1][number])
        for number in range(buckets)
    ]
    for look in range(5, buckets + 1, 5):
        if compare_weighed_values(by_decision[: look + 1], 0.0).against >= NEEDED and (
            float(compare_units(by_unit[:look], 0.0).against) >= NEEDED
        ):
            return int((when < look).sum())
    return NEVER


def _shortfall(counts: np.ndarray) -> np.ndarray:
    """Return counts in which the events are what falls short, as guardrails on rewards count them."""
    requests, clicks = counts[:, ::2], counts[:, 1::2]
    return np.stack([requests[:, 0], (requests - clicks)[:, 0], requests[:, 1], (requests - clicks)[:, 1]], axis=1)


def test_where_units_are_drawn_equal_arms_stay_and_a_bad_one_goes():
    assert sum(stopped_by_units(with_the_level, seed) < NEVER for seed in range(10)) <= 1
    assert stopped_by_units(with_the_level, 1, 0.5) <= 20_000


@in_soak
@pytest.mark.parametrize("stays", [True, False])
@pytest.mark.parametrize("share", SHARES)
def test_where_units_are_drawn_equal_arms_stay_in_95_of_100_runs(share, stays):
    runs = 100
    assert sum(stopped_by_units(share, seed, stays=stays) < NEVER for seed in range(runs)) <= 0.05 * runs


@in_soak
@pytest.mark.parametrize(
    ("share", "stays", "units", "most"),
    [
        (steady(0.5), True, 2_000, 10_000),
        (with_the_level, True, 2_000, 20_000),
        (steady(0.5), False, 2_000, 40_000),
        (with_the_level, False, 2_000, 50_000),
        (rare, True, 10_000, 90_000),
    ],
)
def test_where_units_are_drawn_a_bad_arm_goes_after_so_many_decisions(share, stays, units, most):
    found = sorted(stopped_by_units(share, seed, 0.5, units=units, stays=stays) for seed in range(10))
    assert found[8] <= most
