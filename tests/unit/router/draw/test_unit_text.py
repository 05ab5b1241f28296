"""Units that are numbers: written as JavaScript writes them, so that one unit has one name."""

import math

import pytest

from router.draw.unit_text import unit_text


@pytest.mark.parametrize("value", [7, 7.0, "7"])
def test_seven_is_one_unit_however_it_is_written(value):
    assert unit_text(value) == "7"


@pytest.mark.parametrize("value", ["", None])
def test_an_empty_unit_is_no_unit(value):
    assert unit_text(value) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [  # the right column is what Node.js prints for String(value)
        (0.0, "0"), (-0.0, "0"), (0, "0"), (-7.0, "-7"), (0.5, "0.5"), (123.456, "123.456"), (-1.5, "-1.5"),
        (1e21, "1e+21"), (1e20, "100000000000000000000"), (123456789012345680000.0, "123456789012345680000"),
        (1.2345e21, "1.2345e+21"), (1e-6, "0.000001"), (1e-7, "1e-7"), (1.5e-7, "1.5e-7"), (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"), (2.0**53, "9007199254740992"),
        (2.0**60, "1152921504606847000"), (100.0, "100"), (math.nan, "NaN"), (math.inf, "Infinity"),
        (-math.inf, "-Infinity"), (True, "true"), (False, "false"),
    ],
)  # fmt: skip
def test_a_value_is_written_as_javascript_writes_it(value, text):
    assert unit_text(value) == text


@pytest.mark.parametrize("value", [2**53 + 1, 2**63 - 1, -(2**63), 10**21 - 1])
def test_a_large_whole_number_keeps_its_digits_so_that_two_ids_are_two_units(value):
    assert unit_text(value) == str(value)


@pytest.mark.parametrize(("value", "text"), [(10**21, "1e+21"), (-(10**22), "-1e+22"), (10**400, "Infinity")])
def test_a_number_of_more_digits_is_written_as_a_float(value, text):
    assert unit_text(value) == text


def test_text_is_the_unit_itself():
    assert [unit_text(text) for text in (" ", "7.0", "1e21", "u-1")] == [" ", "7.0", "1e21", "u-1"]
