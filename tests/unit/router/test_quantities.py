"""Shares and durations as operators write them."""

import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.errors import Rejected
from router.quantities import (
    format_duration,
    format_percent,
    format_rough_duration,
    format_share,
    parse_duration_s,
    parse_percent,
    parse_share,
)


@pytest.mark.parametrize(
    ("value", "share"),
    [
        ("90%", Fraction(9, 10)),
        (" 90 % ", Fraction(9, 10)),
        (0.9, Fraction(9, 10)),  # the decimal number, not the binary one 0.90000000000000002220…
        ("0.9", Fraction(9, 10)),
        (1, Fraction(1)),
        (0, Fraction(0)),
        ("0.01%", Fraction(1, 10_000)),
        (1e-05, Fraction(1, 100_000)),
        ("100%", Fraction(1)),
    ],
)
def test_a_share_is_read_exactly(value, share):
    assert parse_share(value, "It") == share


@pytest.mark.parametrize(
    "value", [True, None, [0.5], "", "%", "ten", "-5%", "50%%", "1/2", "1e999999999", float("nan")]
)
def test_what_is_no_share_is_refused(value):
    with pytest.raises(Rejected, match=r"The weight of arm a must be a share such as 90% or 0\.9"):
        parse_share(value, "The weight of arm a")


@pytest.mark.parametrize("value", [90, 1.5, "100.01%", "1.0001"])
def test_a_share_above_one_is_refused(value):
    with pytest.raises(Rejected, match=rf"It is {value}; a share lies between 0% and 100%"):
        parse_share(value, "It")


@pytest.mark.parametrize(
    ("value", "share"),
    [
        (20, Fraction(1, 5)),
        ("20%", Fraction(1, 5)),
        (1.5, Fraction(3, 200)),
        ("0.5%", Fraction(1, 200)),
        (1, Fraction(1, 100)),
        (0, 0),
    ],
)
def test_in_percent_the_sign_is_optional(value, share):
    assert parse_percent(value, "It") == share


@pytest.mark.parametrize(
    ("value", "one", "other"),
    [(0.9, "0.9%", "90%"), ("0.9", "0.9%", "90%"), (0.02, "0.02%", "2%")],
)
def test_a_bare_number_that_is_a_share_in_a_file_is_no_percentage(value, one, other):
    """`0.9` has one meaning: 90%. What is advised instead is taken."""
    with pytest.raises(Rejected, match=rf"which may mean {one} or {other}; give it with its sign"):
        parse_percent(value, "It")
    assert parse_percent(one, "It") * 100 == parse_percent(other, "It")
    if not isinstance(value, str):
        assert parse_share(value, "It") == parse_percent(other, "It")


@pytest.mark.parametrize(
    ("value", "words"),
    [("0.001", "may mean 0.1%; give it"), (1e-5, "the least is 0.01%"), ("0.00001", "the least is 0.01%")],
)
def test_nothing_is_advised_that_is_less_than_a_slot(value, words):
    with pytest.raises(Rejected, match=words):
        parse_percent(value, "It")


@pytest.mark.parametrize("value", ["101", "-1", "x", "20%%", True, None])
def test_what_is_no_percentage_is_refused(value):
    with pytest.raises(Rejected, match="It "):
        parse_percent(value, "It")


@given(st.integers(0, 10_000))
@settings(max_examples=60)
def test_a_share_of_whole_slots_is_printed_as_it_is_read(slots):
    share = Fraction(slots, 10_000)
    assert parse_share(format_percent(share), "It") == share


@pytest.mark.parametrize(
    ("share", "text"),
    [(Fraction(9, 10), "90%"), (Fraction(1, 10_000), "0.01%"), (Fraction(1), "100%"), (Fraction(0), "0%")],
)
def test_a_share_is_printed_without_needless_digits(share, text):
    assert format_percent(share) == text


@pytest.mark.parametrize("text", ["1e-31", "1e-29%", "1e-99%"])
def test_a_share_that_is_too_fine_to_be_written_down_is_refused(text):
    with pytest.raises(Rejected, match=f"It is {text}; a share has at most 30 decimals"):
        parse_share(text, "It")


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (Fraction(0), "0%"),
        (Fraction(1), "100%"),
        (Fraction(1, 8), "12.5%"),
        (Fraction(1, 1000), "0.1%"),
        (Fraction("0.3333333333333333"), "33.33333333333333%"),
        (Fraction("0.123456789012345678901234567891"), "12.3456789012345678901234567891%"),
        (Fraction(1, 10**30), "0.0000000000000000000000000001%"),
    ],
)
def test_a_share_is_printed_exactly(share, text):
    assert format_share(share) == text
    assert parse_share(text, "It") == share


@given(st.floats(1e-12, 1))
def test_a_share_that_is_a_float_is_printed_as_it_is_read(value):
    share = parse_share(value, "It")
    assert float(share) == value
    assert parse_share(format_share(share), "It") == share


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250us", 0.00025),
        ("200ms", 0.2),
        ("1.5s", 1.5),
        (" 10 s ", 10.0),
        ("10m", 600.0),
        ("6h", 21_600.0),
        ("2d", 172_800.0),  # 2 * 24 * 3600
    ],
)
def test_a_duration_is_read_in_seconds(text, seconds):
    assert parse_duration_s(text, "deadline") == seconds


@pytest.mark.parametrize("value", [200, "200", "ms", "", "-5s", "5 minutes", "1e3s", None, True])
def test_a_duration_without_a_number_or_unit_is_refused(value):
    with pytest.raises(Rejected, match="deadline must be a duration with its unit"):
        parse_duration_s(value, "deadline")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("0ms", id="zero"),
        pytest.param("0.1us", id="less than a microsecond"),
        pytest.param("1.5us", id="a fraction of a microsecond"),
        pytest.param("0.0000005s", id="a fraction of a microsecond, in seconds"),
        pytest.param("0.000000001d", id="86.4 microseconds"),
        pytest.param("366d", id="more than a year"),
        pytest.param("31536000.000001s", id="a year and a microsecond"),
        pytest.param("999999999999999d", id="an eternity"),
    ],
)
def test_a_duration_that_is_not_of_whole_microseconds_up_to_a_year_is_refused(text):
    words = f"deadline is {text}; it must be a whole number of microseconds, at least one and at most 365d."
    with pytest.raises(Rejected, match=re.escape(words)):
        parse_duration_s(text, "deadline")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1e-6, "1us"),
        (0.0015, "1500us"),
        (0.2, "200ms"),
        (1.0, "1s"),
        (1.5, "1500ms"),
        (90.0, "90s"),
        (600.0, "10m"),
        (86_400.0, "1d"),
        (86_460.0, "1441m"),
    ],
)
def test_a_duration_is_printed_in_the_largest_unit_that_is_whole(seconds, text):
    assert format_duration(seconds) == text


@given(st.integers(1, 365 * 86_400 * 1_000_000))
@settings(max_examples=60)
def test_a_duration_is_printed_as_it_is_read(micros):
    seconds = parse_duration_s(f"{micros}us", "deadline")
    assert parse_duration_s(format_duration(seconds), "deadline") == seconds


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("12d", id="printed with ten digits of milliseconds"),
        pytest.param("1000.0005s", id="printed with ten digits of microseconds"),
        pytest.param("1us", id="the shortest"),
        pytest.param("365d", id="the longest"),
        pytest.param("31535999.999999s", id="the longest but one"),
    ],
)
def test_every_duration_that_is_read_can_be_printed(text):
    seconds = parse_duration_s(text, "deadline")
    assert parse_duration_s(format_duration(seconds), "deadline") == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0s"), (0, "0.0s"), (0.44, "0.4s"), (9.94, "9.9s"), (10, "10s"), (59.4, "59s"), (59.6, "1m"),
        (200, "3m 20s"), (3599.6, "1h"), (3661, "1h 1m"), (7500, "2h 5m"), (86_400, "1d"), (273_600, "3d 4h"),
        (400 * 86_400, "400d"),
    ],
)  # fmt: skip
def test_a_rough_duration_has_two_units_at_most(seconds, text):
    assert format_rough_duration(seconds) == text
