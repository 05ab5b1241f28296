"""Content codings: content survives both ways, and no compressed body can exhaust memory or time."""

import gzip
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, TooLarge
from gateway.protocols.compression import choose, compress, decompress

LIMIT = 1000


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate"]))
def test_what_is_compressed_is_decompressed(content, encoding):
    assert decompress(compress(content, encoding), encoding.encode(), LIMIT) == content


@pytest.mark.parametrize("encoding", [b"", b"identity", b" Identity "])
def test_no_encoding_changes_nothing(encoding):
    content = b"x" * (LIMIT + 1)
    assert decompress(content, encoding, LIMIT) is content


@pytest.mark.parametrize("encoding", [b"gzip", b"GZIP", b" x-gzip "])
def test_gzip_members_follow_each_other(encoding):
    body = b"".join(gzip.compress(part, mtime=0) for part in (b"a" * 300, b"", b"b" * 700))
    assert decompress(body, encoding, LIMIT) == b"a" * 300 + b"b" * 700


def test_members_larger_than_a_step_are_read():
    parts = [bytes(range(256)) * 1000, bytes(range(255, -1, -1)) * 1000]
    body = b"".join(gzip.compress(part, 0, mtime=0) for part in parts)
    assert decompress(body, b"gzip", 10**6) == b"".join(parts)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
@pytest.mark.parametrize(("size", "fits"), [(LIMIT, True), (LIMIT + 1, False), (LIMIT * 10_000, False)])
def test_the_limit_is_on_the_decompressed_size(pack, size, fits):
    encoding = b"gzip" if pack is gzip.compress else b"deflate"
    if fits:
        assert len(decompress(pack(bytes(size)), encoding, LIMIT)) == size
    else:
        with pytest.raises(TooLarge, match="larger than 1000 bytes when decompressed"):
            decompress(pack(bytes(size)), encoding, LIMIT)


def test_members_are_counted_together():
    with pytest.raises(TooLarge):
        decompress(gzip.compress(bytes(600)) * 2, b"gzip", LIMIT)


def test_a_bomb_takes_no_more_memory_than_the_limit():
    bomb = zlib.compress(bytes(100_000_000))
    tracemalloc.start()
    with pytest.raises(TooLarge):
        decompress(bomb, b"deflate", 100_000)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1_000_000


def test_thousands_of_empty_members_are_refused():
    with pytest.raises(BadRequest, match="more than 1024 gzip members"):
        decompress(gzip.compress(b"", mtime=0) * 1025, b"gzip", LIMIT)


@pytest.mark.parametrize(
    ("body", "encoding", "sentence"),
    [
        (b"x", b"br", "Content-Encoding 'br' is not supported"),
        (gzip.compress(b"x", mtime=0), b"gzip, gzip", "'gzip, gzip' is not supported"),
        (gzip.compress(b"x", mtime=0), b"gzip\xff", "is not supported"),
        (b"", b"gzip", "ends before its gzip content does"),
        (b"", b"deflate", "ends before its deflate content does"),
        (gzip.compress(b"x", mtime=0)[:-1], b"gzip", "ends before"),
        (zlib.compress(b"x")[:-1], b"deflate", "ends before"),
        (b"{}", b"gzip", "The body is not gzip"),
        (gzip.compress(b"x", mtime=0), b"deflate", "The body is not deflate"),
        (zlib.compress(b"x"), b"gzip", "The body is not gzip"),
        (zlib.compress(b"x")[2:-4], b"deflate", "The body is not deflate"),
        (gzip.compress(b"x", mtime=0)[:-8] + bytes(8), b"gzip", "The body is not gzip"),
        (gzip.compress(b"x", mtime=0) + b"{}", b"gzip", "The body is not gzip"),
        (zlib.compress(b"x") + b"{}", b"deflate", "has 2 bytes more than its deflate content"),
    ],
)
def test_what_is_damaged_is_refused_with_a_sentence(body, encoding, sentence):
    with pytest.raises(BadRequest) as refusal:
        decompress(body, encoding, LIMIT)
    assert sentence in str(refusal.value)
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize(
    ("accept_encoding", "chosen"),
    [
        (b"", None),
        (b"identity", None),
        (b"br", None),
        (b"gzip", "gzip"),
        (b"x-gzip", "gzip"),
        (b"deflate", "deflate"),
        (b"deflate, gzip", "gzip"),
        (b"GZIP;Q=0.5 , deflate ; q=1.0", "deflate"),
        (b"gzip;q=0", None),
        (b"gzip;q=0.000, deflate;q=0.001", "deflate"),
        (b"*", "gzip"),
        (b"*;q=0", None),
        (b"gzip;q=0, *", "deflate"),
        (b"gzip, identity", "gzip"),
        (b"gzip;q=0.5, identity", None),
        (b"gzip;q=0.5, identity;q=0.5", "gzip"),
        (b"br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip"),
        (b"gzip;q=2", None),
        (b"gzip;q=", None),
        (b"gzip;q=-1, deflate", "deflate"),
        (b"\xff, gzip", "gzip"),
        (b",,gzip,", "gzip"),
    ],
)
def test_the_coding_is_the_one_the_client_prefers(accept_encoding, chosen):
    assert choose(accept_encoding) == chosen


def test_what_hardly_shrinks_is_not_compressed():
    assert compress(np.random.default_rng(1).random(100_000, np.float32).tobytes(), "gzip") is None


@pytest.mark.parametrize("content", [bytes(1000), b"0.125, " * 50_000])
def test_what_is_small_or_shrinks_is_compressed(content):
    packed = compress(content, "gzip")
    assert packed is not None
    assert decompress(packed, b"gzip", len(content)) == content


def test_a_body_that_grows_over_a_hundredfold_is_refused():
    with pytest.raises(TooLarge, match="over 100 times"):
        decompress(gzip.compress(bytes(2_000_000)), b"gzip", 16_000_000)
    numbers = b",".join(b"%d" % (i % 10_000) for i in range(400_000))
    assert decompress(gzip.compress(numbers), b"gzip", 16_000_000) == numbers
