"""Formulas: what they compute, and that anything else is rejected."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router.errors import Rejected
from router.spec.formula import LARGEST_VALUE, formula, parse_formula
from tests.support.metric_specs import formulas, values

NAMES = ["click", "revenue"]
PIECES = [
    *NAMES,
    "latency_ms",
    "+",
    "-",
    "*",
    "/",
    "(",
    ")",
    " ",
    "0.1",
    "2",
    "1e308",
    "1e-320",
    ".",
    ",",
    "=",
    "[",
    "]",
]
PIECES += [
    "{",
    "}",
    "'",
    '"',
    "\n",
    "#",
    "**",
    "//",
    "%",
    "~",
    "not ",
    "lambda:",
    ":=",
    " if ",
    " else ",
    "\\",
    "\0",
    "é",
    "1j",
]


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("click", ("click",), 3.0),
        ("click - 0.1 * latency_ms", ("click", "latency_ms"), 3.0 - 0.1 * 20.0),
        ("  (click\n+ revenue) / 4 ", ("click", "revenue"), 2.0),
        ("revenue - click - click", ("revenue", "click"), -1.0),
        ("-click * -2", ("click",), 6.0),
        ("revenue / 2 / 5", ("revenue",), 0.5),
        ("click * 0", ("click",), 0.0),
        ("revenue + 1e3", ("revenue",), 1005.0),
        (" + ".join(["0.5 * click"] * 18), ("click",), 27.0),  # as many terms as a route may have metrics
        ("(" * 50 + "click" + ")" * 50, ("click",), 3.0),
    ],
)
def test_a_formula_is_computed_as_it_is_written(text, names, expected):
    assert parse_formula(text, "x") == names
    assert formula(text)({"click": 3.0, "revenue": 5.0, "latency_ms": 20.0}) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "x must be a formula of at most 256 characters, such as click - 0.1 * latency_ms, not None."),
        (5, "x must be a formula of at most 256 characters, such as click - 0.1 * latency_ms, not 5."),
        ("", "x must be a formula of at most 256 characters, such as click - 0.1 * latency_ms, not ''."),
        ("a+" * 128 + "a", "x must be a formula of at most 256 characters"),
        ("2 * 3", "x names no metric: it has the same value for every decision."),
        (" ", "x cannot be read: ' '. It may have names of metrics, latency_ms, numbers, + - * / and parentheses."),
        ("click +", "x cannot be read: 'click +'."),
        ("\0", "x cannot be read:"),
        ("\ud800", "x cannot be read:"),
        ("[" * 250, "x cannot be read:"),
        ("click ** 2", "x has 'click ** 2'. It may have names of metrics, latency_ms, numbers, + - * / and parenthe"),
        ("max(click, 1)", "x has 'max(click, 1)'."),
        ("click.real", "x has 'click.real'."),
        ("click + 'a'", "x has \"'a'\"."),
        ("click + True", "x has 'True'."),
        ("click + 1j", "x has '1j'."),
        ("+click", "x has '+click'."),
        ("click if 1 else 2", "x has 'click if 1 else 2'."),
        ("click / revenue", "x may divide by a number that is not zero, and by nothing else."),
        ("click / 0", "x may divide by a number that is not zero, and by nothing else."),
        ("click / 1e-400", "x may divide by a number that is not zero, and by nothing else."),
        ("click / (1 - 1)", "x may divide by a number that is not zero, and by nothing else."),
        ("click + 1e400", "x has a number that is too large."),
        ("click * 1e290", "x may become too large; its names may be as large as 1e+12."),
        ("click / 1e-320", "x may become too large; its names may be as large as 1e+12."),
        ("click * 1e300 * 1e300 * 0", "x may become too large; its names may be as large as 1e+12."),
        ("*".join(["click"] * 26), "x may become too large; its names may be as large as 1e+12."),
        ("-" * 200 + "click", "x is nested too deeply."),
        ("click" + " +1" * 80, "x is nested too deeply."),
    ],
)
def test_what_is_no_formula_is_rejected(text, sentence):
    with pytest.raises(Rejected) as refused:
        parse_formula(text, "x")
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize("text", ["~" * 255 + "a", "not " * 63 + "a", "~" * 255 + "'"])
def test_what_is_deep_and_no_formula_is_rejected_also_by_a_caller_that_is_deep_itself(text):
    def call(depth: int) -> None:
        if depth:
            return call(depth - 1)
        return parse_formula(text, "x")

    with pytest.raises(Rejected):
        call(400)


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=40))
@settings(max_examples=500)
@example("click * 1e300 * 1e300 - click * 1e300 * 1e300")
def test_any_text_is_read_or_rejected(text):
    names, sentence = (), ""
    try:
        names = parse_formula(text, "x")
    except Rejected as refused:
        sentence = str(refused)
    assert len(sentence) < 500
    if sentence:
        return
    compute = formula(text)
    for value in (0.0, 1.0, LARGEST_VALUE, -LARGEST_VALUE):
        assert math.isfinite(compute(dict.fromkeys(names, value)))


@given(formulas(NAMES), values, values, st.floats(0, 1e9))
@settings(max_examples=300)
def test_a_formula_has_a_value_for_all_values_of_its_names(text, click, revenue, latency_ms):
    given_values = {"click": click, "revenue": revenue, "latency_ms": latency_ms}
    names, sentence = (), ""
    try:
        names = parse_formula(text, "x")
    except Rejected as refused:
        sentence = str(refused)
    assert "names no metric" in sentence or not sentence
    if sentence:
        return
    assert set(names) <= set(given_values)
    assert all(name in text for name in names)
    found = formula(text)(given_values)
    assert math.isfinite(found)
    assert found == eval(text, {}, given_values)  # noqa: S307  # a formula of ours
