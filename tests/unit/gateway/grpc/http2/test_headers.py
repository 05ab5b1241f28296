"""Header blocks: decoding, the cache of decoded blocks, and what is rejected."""

import hpack
import pytest

from gateway.grpc.http2.frames import ConnectionFault, ErrorCode
from gateway.grpc.http2.headers import MAX_HEADER_BYTES, HeaderReader, field

PSEUDO = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/p")]


def block(*more: tuple[bytes, bytes]) -> bytes:
    return b"".join(field(name, value) for name, value in [*PSEUDO, *more])


@pytest.mark.parametrize("huffman", [True, False])
def test_blocks_are_decoded_to_what_was_encoded(huffman):
    encoder, reader = hpack.Encoder(), HeaderReader()
    for number in range(300):
        given = [*PSEUDO, (b"x-number", b"%d" % (number % 100)), (b"x-bytes", bytes([number % 200 + 32, 0xFF]))]
        for _ in range(3):  # written out, then one byte per field, then a block that is cached
            assert reader.read(encoder.encode(given, huffman=huffman)) == dict(given)


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 254, 255, 256, 16_000])
def test_fields_of_any_length_are_encoded_so_that_hpack_decodes_them(size):
    value = b"v" * size
    assert hpack.Decoder().decode(field(b"x-name", value), raw=True) == [(b"x-name", value)]


def test_a_name_that_comes_twice_has_both_values():
    headers = HeaderReader().read(block((b"x-a", b"1"), (b"x-a", b"2")))
    assert headers is not None
    assert headers[b"x-a"] == b"1,2"


def test_a_cached_block_is_decoded_again_once_the_table_has_changed():
    reader = HeaderReader()
    add = b"\x40\x03x-a\x01"
    assert reader.read(add + b"1") == {b"x-a": b"1"}
    assert reader.read(b"\xbe") == {b"x-a": b"1"}
    assert reader.read(b"\xbe") == {b"x-a": b"1"}
    reader.read(add + b"2")
    assert reader.read(b"\xbe") == {b"x-a": b"2"}


def test_the_tables_size_follows_every_update_also_in_repeated_blocks():
    reader = HeaderReader()
    grow, shrink, indexed = b"\x3f\xe1\x1f", b"\x20", b"\x90"
    entry = b"\x40\x03x-a\x011"
    for _ in range(2):
        for resize in (grow, shrink, grow):
            reader.read(resize + indexed)
        reader.read(entry)
        assert reader.read(b"\xbe") == {b"x-a": b"1"}
    reader.read(shrink)
    with pytest.raises(ConnectionFault):
        reader.read(b"\xbe")


def test_the_cache_is_bounded():
    reader = HeaderReader()
    for number in range(10_000):
        reader.read(block((b"x", b"%d" % number)))
    reader.read(block((b"x", b"y" * 15_000)))
    assert len(reader._cache) <= 64
    assert max(map(len, reader._cache)) <= 1024


GARBAGE = [
    b"\x80", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\xbe", b"\x40", b"\x40\x7f", b"\x40\x05ab",
    b"\x3f\xe2\x1f",
    b"\x82\x20", b"\x00\x81\xff\x00", b"\x00\x84\xff\xff\xff\xff\x00", b"\x00\x01a\x82\xff\xfe", b"\x0f",
]  # fmt: skip


@pytest.mark.parametrize("garbage", GARBAGE, ids=bytes.hex)
def test_a_block_that_cannot_be_decoded_is_a_fault(garbage):
    with pytest.raises(ConnectionFault) as fault:
        HeaderReader().read(garbage)
    assert fault.value.code == ErrorCode.COMPRESSION_ERROR


def test_headers_that_are_too_long_are_a_fault_however_short_their_block_is():
    with pytest.raises(ConnectionFault) as fault:
        HeaderReader().read(block((b"x", b"y" * MAX_HEADER_BYTES)))
    assert fault.value.code == ErrorCode.ENHANCE_YOUR_CALM
    reader = HeaderReader()
    reader.read(b"\x40\x01x\x7f\x81\x1e" + b"y" * 3968)
    with pytest.raises(ConnectionFault) as fault:
        reader.read(b"\xbe" * 5)
    assert fault.value.code == ErrorCode.ENHANCE_YOUR_CALM


MALFORMED = {
    "no path": PSEUDO[:2],
    "twice": [*PSEUDO, PSEUDO[0]],
    "late": [(b"x", b"y"), *PSEUDO],
    "unknown": [*PSEUDO, (b":status", b"200")],
    "upper": [*PSEUDO, (b"X-a", b"b")],
    "space": [*PSEUDO, (b"x a", b"b")],
    "empty": [*PSEUDO, (b"", b"b")],
    "newline": [*PSEUDO, (b"x", b"a\r\nb: c")],
    "zero": [*PSEUDO, (b"x", b"\0")],
    "connection": [*PSEUDO, (b"connection", b"close")],
    "te": [*PSEUDO, (b"te", b"gzip")],
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_malformed_headers_are_malformed_every_time(fields):
    reader, written = HeaderReader(), b"".join(field(*each) for each in fields)
    assert reader.read(written) is None
    assert reader.read(written) is None


def test_bytes_that_are_no_text_are_accepted_and_trailers_need_no_method():
    headers = HeaderReader().read(block((b"x", b"\xff\xfe")))
    assert headers is not None
    assert headers[b"x"] == b"\xff\xfe"
    assert HeaderReader().read(field(b"x", b"y")) == {b"x": b"y"}
