"""The short form of values in refusals, and the check of keys."""

import pytest

from router.errors import Rejected
from router.refusals import check_keys, short_repr


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x-user-id", "'x-user-id'"),
        ("\ud800", r"'\ud800'"),
        (None, "None"),
        (["replica", 1.5], "['replica', 1.5]"),
        (10**39, "1" + "0" * 39),
        pytest.param(10**5000, "a number of over 40 digits", id="longer than Python prints"),
        ([-(10**5000)], "[a number of over 40 digits]"),
    ],
)
def test_what_was_given_is_recognised(value, text):
    assert short_repr(value) == text


@pytest.mark.parametrize("value", ["x" * 10**6, ["x" * 10**6] * 100, {str(n): [[[[[[[[n]]]]]]]] for n in range(1000)}])
def test_what_is_long_is_shown_shortly(value):
    assert len(short_repr(value)) < 1000


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"colour": 1, "of": 2}, "Unknown key colour in rollout; there may be of, from."),
        ({"b": 1, "a": 2}, "Unknown key a, b in rollout; there may be of, from."),
        ({3: 4}, "Unknown key 3 in rollout; there may be of, from."),
        ({"a b": 1, "\ud800": 2, None: 3}, r"Unknown key '\ud800', 'a b', None in rollout; there may be of, from."),
        ({10**5000: 1}, "Unknown key a number of over 40 digits in rollout; there may be of, from."),
        (dict.fromkeys("abcdefgh"), "Unknown key a, b, c, d, e in rollout; there may be of, from."),
    ],
)
def test_unknown_keys_are_named_beside_those_that_there_are(raw, words):
    with pytest.raises(Rejected) as refused:
        check_keys(raw, ("of", "from"), "rollout")
    assert str(refused.value) == words


def test_known_keys_are_let_through():
    check_keys({"of": 1}, ("of", "from"), "rollout")
