"""What counts as a deadline."""

import math

import pytest

from gateway.errors import BadRequest
from gateway.inference.deadline import callers_deadline_s


@pytest.mark.parametrize(
    "sent",
    [
        b"inf",
        b"Infinity",
        b"1e400",
        b"1_000",
        b"nan",
        b"0",
        b"-1",
        b"",
        b"0x10",
        b"1e",
        b".",
        b"\xd9\xa1",
        b"1 0",
        b"1,5",
    ],
)
def test_what_is_no_number_is_refused(sent):
    with pytest.raises(BadRequest, match="positive number"):
        callers_deadline_s({b"x-deadline-ms": sent}, {}, 0.0, None)
    for value in (sent.decode("latin-1"), math.inf, math.nan, 10**400, True, None, [1]):
        if value is not None:
            with pytest.raises(BadRequest, match="positive number"):
                callers_deadline_s({}, {"timeout": value}, 0.0, None)


@pytest.mark.parametrize(("sent", "ms"), [(b"250", 250), (b"0.5", 0.5), (b"1e2", 100), (b" 7 ", 7), (b".5", 0.5)])
def test_a_number_of_milliseconds_counts(sent, ms):
    assert callers_deadline_s({b"x-deadline-ms": sent}, {}, 1.0, None) == pytest.approx(1 + ms / 1e3)
