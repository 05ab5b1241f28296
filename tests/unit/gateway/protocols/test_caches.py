"""What is remembered of callers' strings is little, however long they are and however many come."""

import contextlib
import tracemalloc

import pytest

from gateway.protocols.compression import choose
from gateway.protocols.paths import parse_path
from router.errors import UnknownRoute

MOST_BYTES = 4 * 1024 * 1024
LONG = 30_000
"""About the longest that a head of 32 KiB lets in."""


def read(path: str) -> None:
    with contextlib.suppress(UnknownRoute):
        parse_path(path)


@pytest.mark.parametrize(
    "remember",
    [
        lambda number: read(f"/v2/models/{number:0{LONG}}/infer"),
        lambda number: read(f"/v2/models/r/versions/{number:0{LONG}}/infer"),
        lambda number: read(f"/v1/models/{number:0{LONG}}:predict"),
        lambda number: choose(b"gzip, %0*d" % (LONG, number)),
    ],
    ids=["route", "version", "route of V1", "encoding"],
)
def test_long_strings_are_not_remembered(remember):
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(3000):
            remember(number)
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert held < MOST_BYTES, f"{held / 1e6:.0f} MB"
