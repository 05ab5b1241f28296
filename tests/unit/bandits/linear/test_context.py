"""Whatever a client sends becomes a vector of bounded integers, by the stated rules."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandits.errors import BanditError
from bandits.linear.context import MOST_FEATURES, SCALE, Category, Context, Number

AGE = Number("age", 0, 100, fill=50)
SPEED = Number("speed", -10, 10)
PLAN = Category("plan", ("free", "paid"))
CONTEXT = Context((AGE, SPEED, PLAN))


def test_the_vector_of_a_context():
    assert CONTEXT.features == (
        "intercept",
        "age",
        "speed",
        "speed is missing",
        "plan is 'free'",
        "plan is 'paid'",
        "plan is another word",
        "plan is missing",
    )
    assert CONTEXT.encode([25, 5, "paid"]) == (SCALE, SCALE // 4, SCALE * 3 // 4, 0, 0, SCALE, 0, 0)


@pytest.mark.parametrize(
    ("value", "share"),
    [
        (0, 0),
        (100, 1),
        (12.5, 1 / 8),
        (-1, 0),
        (101, 1),
        (math.inf, 1),
        (-math.inf, 0),
        (10**400, 1),
        (True, 1 / 100),
        ("12.5", 1 / 8),
        (" 50 ", 1 / 2),
        ("inf", 1),
        (None, 1 / 2),
        (math.nan, 1 / 2),
        ("nan", 1 / 2),
        ("", 1 / 2),
        ("old", 1 / 2),
    ],
)
def test_a_number_is_scaled_to_its_range_and_filled_if_it_is_missing(value, share):
    assert AGE.encode(value) == (round(share * SCALE),)


@pytest.mark.parametrize("value", [None, math.nan, "", "fast"])
def test_a_number_without_fill_says_that_it_is_missing(value):
    assert SPEED.encode(value) == (0, SCALE)
    assert SPEED.encode(-10) == (0, 0)


@pytest.mark.parametrize(
    ("value", "feature"),
    [("free", 0), ("paid", 1), ("Free", 2), ("gold", 2), (3, 2), (math.inf, 2), (None, 3), (math.nan, 3), ("", 3)],
)
def test_a_category_is_one_of_its_words_or_another_or_missing(value, feature):
    assert PLAN.encode(value) == tuple(SCALE * (place == feature) for place in range(4))


@pytest.mark.parametrize(("value", "word"), [(81427, "81427"), (81427.0, "81427"), (True, "true"), (0.5, "0.5")])
def test_numbers_may_be_words(value, word):
    assert Category("zip", (word,)).encode(value) == (SCALE, 0, 0)


values = st.one_of(
    st.none(), st.floats(), st.integers(), st.text(), st.booleans(), st.just(10**5000), st.just("1" * 5000)
)


@given(st.tuples(values, values, values))
def test_no_value_fails_or_makes_an_unbounded_feature(row):
    vector = CONTEXT.encode(row)
    assert len(vector) == len(CONTEXT.features)
    assert all(type(feature) is int and 0 <= feature <= SCALE for feature in vector)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_a_larger_number_never_has_a_smaller_feature(one, other):
    assert AGE.encode(min(one, other)) <= AGE.encode(max(one, other))


def test_a_range_that_floats_barely_hold_is_scaled():
    assert Number("x", -8e307, 8e307, 0).encode(8e307) == (SCALE,)
    assert Number("x", 0, 5e-324, 0).encode(1) == (SCALE,)


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Number("x", 1, 1),
        lambda: Number("x", 2, 1),
        lambda: Number("x", 0, math.inf),
        lambda: Number("x", -1e308, 1e308),
        lambda: Number("x", math.nan, 1),
        lambda: Number("x", 0, 1, fill=2),
        lambda: Number("x", 0, 1, fill=math.nan),
        lambda: Category("x", ()),
        lambda: Category("x", ("a", "a")),
        lambda: Category("x", ("a", "")),
        lambda: Context(()),
        lambda: Context((AGE, Category("age", ("a",)))),
        lambda: Context(tuple(Number(f"x{i}", 0, 1, 0) for i in range(MOST_FEATURES))),
    ],
)
def test_a_declaration_that_means_nothing_is_refused(declare):
    with pytest.raises(BanditError, match=r"[Cc]ontext"):
        declare()


def test_the_largest_context_is_accepted():
    assert len(Context(tuple(Number(f"x{i}", 0, 1, 0) for i in range(MOST_FEATURES - 1))).features) == MOST_FEATURES


def test_a_row_of_another_length_is_a_fault_of_the_caller():
    with pytest.raises(ValueError, match="zip"):
        CONTEXT.encode([1])


def test_a_number_is_encoded_in_its_context_as_by_its_column():
    dice = random.Random(3)  # noqa: S311  # a test
    columns = (Number("a", -0.3, 0.7, 0.1), Number("b", 0.0, 1e-3, 0.0), Number("c", -5.0, 5.0), Category("d", ("1",)))
    odd = [None, math.nan, math.inf, -math.inf, -0.0, 0, 1, True, 10**400, "0.25", "x", "", 1e-3, 0.7, -0.3]
    for _ in range(2000):
        values = [dice.choice([dice.uniform(-1, 1), dice.uniform(0, 1e-3), dice.choice(odd)]) for _ in columns]
        encoded = [each for column, value in zip(columns, values, strict=True) for each in column.encode(value)]
        assert Context(columns).encode(values) == (SCALE, *encoded)
