"""The tags of a request."""

import pytest

from gateway.inference.sender import tags_of


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        (None, ()),
        (b"", ()),
        (b"team=risk", (("team", "risk"),)),
        (b" team = risk ,batch=7,", (("team", "risk"), ("batch", "7"))),
        (b"a=b=c", (("a", "b=c"),)),
        (b"a=1,a=2", (("a", "2"),)),
        (b"alone,=nameless,empty=", (("empty", ""),)),
        (b"\xff=\xc3\xa9", (("\ufffd", "é"),)),
        (b"k" * 100 + b"=" + b"v" * 100, (("k" * 64, "v" * 64),)),
        ("é".encode() * 100 + b"=", (("é" * 64, ""),)),
        (b",".join(b"%d=x" % each for each in range(20)), tuple((str(each), "x") for each in range(8))),
    ],
)
def test_tags_are_the_first_eight_pairs(header, tags):
    assert tags_of(header) == tags


def test_a_header_of_any_size_costs_little():
    assert tags_of(b"," * 1_000_000) == ()
    assert tags_of(b"a=" + b"x" * 1_000_000) == (("a", "x" * 64),)
