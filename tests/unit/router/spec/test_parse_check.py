"""What a version that an alias brings is asked."""

from fractions import Fraction

import pytest

from router.errors import Rejected
from router.spec.parse import parse_spec
from router.spec.parse_check import parse_check
from router.spec.spec import CheckSpec
from router.spec.unparse import unparse_spec

ROUTE = {"route": "s", "arms": {"a": "m@champion"}, "split": {"a": "100%"}}


@pytest.mark.parametrize(
    ("raw", "check"),
    [
        ({"logged": 500}, CheckSpec(500)),
        ({"logged": 1, "above": "5%"}, CheckSpec(1, Fraction(1, 20))),
        ({"logged": 9, "above": 0, "tolerance": 0.25}, CheckSpec(9, Fraction(0), 0.25)),
        (None, None),
    ],
)
def test_it_is_read_and_written_back(raw, check):
    spec = parse_spec({**ROUTE, "check": raw})
    assert spec.check == check
    assert parse_spec(unparse_spec(spec)) == spec


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (500, "must be a mapping"),
        ({}, "check.logged must be a number of requests from 1 to 10000, not None"),
        ({"logged": 0}, "from 1 to 10000"),
        ({"logged": 10_001}, "from 1 to 10000"),
        ({"logged": True}, "from 1 to 10000"),
        ({"logged": 5, "above": "101%"}, "check.above"),
        ({"logged": 5, "tolerance": -1}, "check.tolerance"),
        ({"logged": 5, "since": "1h"}, "since"),
    ],
)
def test_something_else_is_rejected(raw, why):
    with pytest.raises(Rejected, match=why):
        parse_check(raw)
