"""The functions agree with `math` and scipy to the stated error, and give the same bits whatever the array's shape."""

import math

import numpy as np
import pytest
from scipy import special

from bandits.arithmetic.exponential import exp, expm1
from bandits.arithmetic.logarithm import log, log1p
from bandits.arithmetic.normal import cdf, quantile
from bandits.arithmetic.stirling import stirling_remainder

RNG = np.random.default_rng(20_261_130)
LARGE = RNG.uniform(-707, 709, 4000)
SMALL = RNG.uniform(-1, 1, 4000)
TINY = 10.0 ** RNG.uniform(-20, 0, 4000)
NEAR = 10.0 ** RNG.uniform(-15, -1, 4000)
SPREAD = 10.0 ** RNG.uniform(-307, 307, 4000)

EXP_BITS = ["0x1.1aec7b35a00d4p+0", "0x1.599058c8c1a96p+0", "0x1.01c2a61268987p+1", "0x1.4af888bbdb3f0p+1"]
LOG_BITS = ["-0x1.26bb1bbb55515p+1", "-0x1.34378fcbda721p+0", "-0x1.6d3c324e13f50p-2", "-0x1.a431d5bcc193ep-5"]
CDF_BITS = ["0x1.d7375f15b2f1ep-2", "0x1.87423a677e90fp-2", "0x1.ef8aa3a8f355fp-3", "0x1.5e52aca233f7ap-3"]


def relative_error(ours, points, reference):
    true = np.array([reference(float(x)) for x in points])
    return np.max(np.abs(ours(points) - true) / np.abs(true))


@pytest.mark.parametrize(
    ("ours", "points", "reference"),
    [
        (exp, np.concatenate([LARGE, SMALL, TINY, [0.0, -708.0, 709.0]]), math.exp),
        (expm1, np.concatenate([RNG.uniform(-700, 700, 4000), SMALL, TINY, -TINY]), math.expm1),
        (log, np.concatenate([SPREAD, 1 + NEAR, 1 - NEAR, [2.3e-308, 1.7e308]]), math.log),
        (log1p, np.concatenate([SPREAD, TINY, -TINY * 0.999, [-1 + 2**-53]]), math.log1p),
        (cdf, np.concatenate([RNG.uniform(-37, 0, 4000), RNG.uniform(-2, 9, 4000)]), special.ndtr),
    ],
)
def test_relative_errors(ours, points, reference):
    assert relative_error(ours, points, reference) < (3e-13 if ours is cdf else 1e-15)


def test_the_cdf_is_exact_to_fifteen_digits_down_to_the_least_double():
    # Computed with 40 digits: erfc(-x / sqrt(2)) / 2. scipy's own tail is off by up to 3e-13, because it rounds x².
    values = {
        -37.5: 4.605353009581955e-308,
        -30.25: 2.6086402857412604e-201,
        -20.0: 2.7536241186062337e-89,
        -10.1: 2.762109471764517e-24,
        -5.0: 2.866515718791939e-07,
        -3.3: 0.0004834241423837775,
        -1.0: 0.15865525393145705,
        -0.3: 0.3820885778110474,
        0.7: 0.758036347776927,
        2.9: 0.998134186699616,
    }
    for x, true in values.items():
        assert float(cdf(np.array(x))) == pytest.approx(true, rel=1e-15)
    assert cdf(np.array([-np.inf, -1e9, 0.0, 1e9, np.inf])).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_powers_beyond_the_normal_doubles_are_zero_or_infinite():
    assert exp(np.array([709.5, 1e9])).tolist() == [np.inf, np.inf]
    assert exp(np.array([-708.5, -1e9, -np.inf])).tolist() == [0.0, 0.0, 0.0]


def test_the_quantile_undoes_the_cdf_to_seven_digits():
    p = np.concatenate([10.0 ** RNG.uniform(-300, -1, 4000), RNG.uniform(0.001, 0.999, 4000), 1 - NEAR])
    assert quantile(p) == pytest.approx(special.ndtri(p), rel=3e-7, abs=3e-7)


def test_the_remainder_of_stirlings_formula():
    a = np.concatenate([10.0 ** RNG.uniform(-2, 2, 4000), [0.5, 1.0, 9.999, 10.0]])
    true = [math.lgamma(x) - (x - 0.5) * math.log(x) + x - math.log(2 * math.pi) / 2 for x in a]
    assert stirling_remainder(a) == pytest.approx(true, abs=1e-12)  # the reference loses digits to large terms
    assert float(stirling_remainder(np.array(1e9))) == pytest.approx(1 / 12e9, rel=1e-12)


@pytest.mark.parametrize("function", [exp, log, log1p, cdf, quantile, stirling_remainder])
def test_bits_do_not_depend_on_the_shape_of_the_array(function):
    # numpy takes other instructions for long arrays than for short ones, and for single numbers.
    points = RNG.uniform(0.001, 0.999, 997)
    single = [float(function(np.array(x))) for x in points]
    assert function(points).tolist() == single
    assert function(points[::-1])[::-1].tolist() == single


def test_bits_stay_what_they_are():
    # Another machine, or a change of the code, must not move a bit: decisions in logs were made with these.
    points = np.array([0.1, 0.3, 0.7, 0.95])
    assert [x.hex() for x in exp(points).tolist()] == EXP_BITS
    assert [x.hex() for x in log(points).tolist()] == LOG_BITS
    assert [x.hex() for x in cdf(-points).tolist()] == CDF_BITS
