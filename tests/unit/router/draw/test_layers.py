"""Layers and holdouts as operators write them. test_assignment_properties checks which units they hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.draw.assignment import PLACES, seed_state
from router.draw.layers import (
    Holdout,
    Layer,
    check_exclusive,
    is_held_out,
    parse_holdout,
    parse_layer,
    unparse_holdout,
    unparse_layer,
)
from router.errors import Rejected


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (["0%", "50%"], Layer("checkout", 0.0, 0.5)),
        ([0.5, 1], Layer("checkout", 0.5, 1.0)),
        (["33.3%", "33.4%"], Layer("checkout", 0.333, 0.334)),
    ],
)
def test_a_layer_is_a_name_and_a_range(limits, expected):
    assert parse_layer({"name": "checkout", "range": limits}) == expected


@given(st.integers(0, PLACES - 1).flatmap(lambda start: st.tuples(st.just(start), st.integers(start + 1, PLACES))))
def test_a_layer_that_is_written_is_read_back(limits):
    start, end = limits
    layer = Layer("l", start / PLACES, end / PLACES)
    assert parse_layer(unparse_layer(layer)) == layer


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("checkout", "a name and a range"),
        ({"name": "checkout"}, "a name and a range"),
        ({"name": "checkout", "range": [0, 1], "salt": "x"}, "a name and a range"),
        ({"name": "", "range": [0, 1]}, "layer.name .* not ''"),
        ({"name": 7, "range": [0, 1]}, "layer.name .* not 7"),
        ({"name": "a b", "range": [0, 1]}, "layer.name .* not 'a b'"),
        ({"name": 10**5000, "range": [0, 1]}, "layer.name .* not a number of over 40 digits"),
        ({"name": "l", "range": 10**5000}, "two shares, .* not a number of over 40 digits"),
        ({"name": "l", "range": [0, 10**5000]}, "A limit of layer.range"),
        ({"name": "l", "range": "0%-50%"}, "two shares"),
        ({"name": "l", "range": [0, 0.5, 1]}, "two shares"),
        ({"name": "l", "range": ["0%", "150%"]}, "between 0% and 100%"),
        ({"name": "l", "range": ["0%", None]}, "A limit of layer.range must be a share"),
        ({"name": "l", "range": ["60%", "40%"]}, "from 60% to 40%; the second limit must be above the first"),
        ({"name": "l", "range": ["40%", "40%"]}, "from 40% to 40%; the second limit must be above the first"),
        ({"name": "l", "range": ["0%", "0.05%"]}, r"is 0.05%; .* steps of 0.1%"),
    ],
)
def test_what_is_no_layer_is_refused(raw, words):
    with pytest.raises(Rejected, match=words):
        parse_layer(raw)


def test_ranges_that_touch_are_exclusive_and_layers_do_not_know_each_other():
    check_exclusive({})
    check_exclusive({"a": Layer("l", 0.0, 0.4), "b": Layer("l", 0.4, 1.0), "c": Layer("m", 0.0, 1.0)})


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        (
            {"fraud": Layer("l", 0.1, 0.5), "risk": Layer("l", 0.4, 0.6), "other": Layer("l", 0.8, 0.9)},
            "Routes fraud (10% to 50%) and risk (40% to 60%) overlap in layer l; "
            "free in it: 0% to 10%, 60% to 80%, 90% to 100%.",
        ),
        (
            {"a": Layer("l", 0.0, 1.0), "m": Layer("m", 0.0, 1.0), "b": Layer("l", 0.333, 0.334)},
            "Routes a (0% to 100%) and b (33.3% to 33.4%) overlap in layer l; free in it: nothing.",
        ),
    ],
)
def test_ranges_that_overlap_are_refused_with_both_routes_and_what_is_free(layers, sentence):
    with pytest.raises(Rejected) as refusal:
        check_exclusive(layers)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("5%", Holdout(500, "fraud")),
        (0.0125, Holdout(125, "fraud")),
        ({"share": "5%"}, Holdout(500, "fraud")),
        ({"share": "5%", "seed": "q4-2026"}, Holdout(500, "q4-2026")),
    ],
)
def test_a_holdout_is_a_share_and_perhaps_a_seed(raw, expected):
    holdout = parse_holdout(raw, "fraud")
    assert holdout == expected
    assert parse_holdout(unparse_holdout(holdout), "another") == expected


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (None, "holdout must be a share"),
        ({"seed": "q4"}, "holdout must be a share"),
        ({"share": "5%", "salt": "q4"}, "holdout must be a share"),
        ("105%", "between 0% and 100%"),
        ("0.005%", "steps of 0.01%"),
        ({"share": "5%", "seed": ""}, "holdout.seed"),
        ({"share": "5%", "seed": 4}, "holdout.seed"),
        ({"share": "5%", "seed": "\ud83d"}, "holdout.seed"),
    ],
)
def test_what_is_no_holdout_is_refused(raw, words):
    with pytest.raises(Rejected, match=words):
        parse_holdout(raw, "fraud")


def test_no_unit_and_every_unit_can_be_held_out():
    assert not any(is_held_out(Holdout(0, "s"), str(number)) for number in range(500))
    assert all(is_held_out(Holdout(10_000, "s"), str(number)) for number in range(500))


def test_a_holdout_does_not_hash_as_a_split_of_the_same_seed():
    assert Holdout(500, "fraud").state != seed_state("fraud")
