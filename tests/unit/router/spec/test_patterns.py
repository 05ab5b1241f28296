"""Which regular expressions are accepted, and which could take long to match."""

import pytest

from router.errors import Rejected
from router.spec.patterns import check_pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "(Mobile|Tablet)",
        "(?i)iphone|ipad|android",
        "-12-25$",
        "Mobile.*Safari",
        "(foo|bar).*(baz|qux)",
        r"^10\.\d{1,3}\.\d{1,3}\.\d{1,3}$",
        r"^[^@]+@[^@]+\.com$",
        "^.*a.*b",
        r"(a{30}){30}",
        "(?=a)(?!b)(?<=a)c",
        "^(a)?(?(1)b|c)",
        "[ab]+",
        "(a|b)+",  # which Python reads as [ab]+
        "",
    ],
)
def test_what_is_quickly_decided_is_allowed(pattern):
    check_pattern(pattern, "target.unit.$regex")


@pytest.mark.parametrize(
    "pattern",
    [
        "^(a+)+$",  # tries 2^n ways
        "^(aa|ab|a)+$",
        "^(a?){64}b",
        r"^(\d+\.)+\d+$",
        "a.*b.*c",  # n^3: tried at each of n characters
        "^a.*b.*c.*d",
        "(?m)^a+b+",  # begins at each line, which may be at each character
        "(?:){1000}",
        "(?:(?=a){99}){99}",
        "(?>a+)+",
        "(?:a|b.*)(?=c.*d)",
        r"(.*)\1z",
        "a?" * 20,
    ],
)
def test_what_a_hostile_value_could_stretch_is_refused(pattern):
    with pytest.raises(Rejected, match=r"target.unit.\$regex can match a value in so many ways"):
        check_pattern(pattern, "target.unit.$regex")


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("/???***[)", "no regular expression: multiple repeat"),
        ("(", r"no regular expression: missing \)"),
        ("a{99999999999999999999}", "no regular expression: the repetition number is too large"),
        (r"(?<=a+)b", "no regular expression: look-behind"),
        ("a" * 257, "has 257 characters"),
        (7, "in quotes, not 7"),
        (None, "in quotes, not None"),
    ],
)
def test_what_does_not_compile_is_refused(pattern, words):
    with pytest.raises(Rejected, match=words):
        check_pattern(pattern, "target.unit.$regex")
