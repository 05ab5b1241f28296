"""Header blocks: decoding, the cache of decoded blocks, and what is rejected."""

import hpack
import pytest

from gateway.grpc.http2.frames import ConnectionFault, ErrorCode
from gateway.grpc.http2.headers import HeaderReader, Refused, field
from gateway.grpc.http2.limits import MAX_DECODED_BYTES, MAX_HEADER_BYTES

PSEUDO = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/p")]


def block(*more: tuple[bytes, bytes]) -> bytes:
    return b"".join(field(name, value) for name, value in [*PSEUDO, *more])


@pytest.mark.parametrize("huffman", [True, False])
def test_blocks_are_decoded_to_what_was_encoded(huffman):
    encoder, reader = hpack.Encoder(), HeaderReader()
    for number in range(300):
        given = [*PSEUDO, (b"x-number", b"%d" % (number % 100)), (b"x-bytes", bytes([number % 200 + 33, 0xFF]))]
        for _ in range(3):  # written out, then one byte per field, then a block that is cached
            assert reader.read(encoder.encode(given, huffman=huffman)) == dict(given)


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 254, 255, 256, 16_000])
def test_fields_of_any_length_are_encoded_so_that_hpack_decodes_them(size):
    value = b"v" * size
    assert hpack.Decoder().decode(field(b"x-name", value), raw=True) == [(b"x-name", value)]


def read(content: bytes) -> dict[bytes, bytes]:
    headers = HeaderReader().read(content)
    assert not isinstance(headers, Refused)
    return dict(headers)


def test_of_a_name_that_comes_twice_the_last_value_counts_as_over_http_1():
    assert read(block((b"x-a", b"1"), (b"x-a", b"2")))[b"x-a"] == b"2"


@pytest.mark.parametrize("value", [b" v", b"v ", b"\tv", b"v \t "])
def test_blanks_around_a_value_do_not_count_for_grpc_and_are_malformed_for_others(value):
    assert read(block((b"te", b"trailers"), (b"x-a", value)))[b"x-a"] == b"v"
    assert HeaderReader().read(block((b"x-a", value))) is Refused.MALFORMED


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


def test_headers_that_are_too_long_are_refused_and_the_table_stays_in_step():
    assert HeaderReader().read(block((b"x", b"y" * MAX_HEADER_BYTES))) is Refused.TOO_LONG
    reader, entry = HeaderReader(), b"y" * 3968
    reader.read(b"\x40\x01x\x7f\x81\x1e" + entry)
    assert reader.read(b"\xbe\x40\x01z\x031st" + field(b"n", b"v" * 13_000)) is Refused.TOO_LONG
    assert reader.read(b"\xbe") == {b"z": b"1st"}
    with pytest.raises(ConnectionFault) as fault:
        reader.read(b"\xbf" * 5)  # five times the same entry
    assert fault.value.code == ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("content", [b"\0\x01x\x7f\x81\xff\x03" + b"y" * 65_664, b"\x82" * (MAX_DECODED_BYTES // 32)])
def test_headers_that_are_far_too_long_are_a_fault(content):
    with pytest.raises(ConnectionFault) as fault:
        HeaderReader().read(content)
    assert fault.value.code == ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("update", [b"\x20", b"\x3f\xe1\x1f", b"\x3f\x81\x80\x00"])
def test_a_block_of_table_updates_is_a_fault_before_it_costs_time(update):
    assert HeaderReader().read(update * 2 + b"\x90") == {b"accept-encoding": b"gzip, deflate"}
    with pytest.raises(ConnectionFault) as fault:
        HeaderReader().read(update * 20_000)
    assert fault.value.code == ErrorCode.COMPRESSION_ERROR


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
    "empty path": [*PSEUDO[:2], (b":path", b"")],
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_malformed_headers_are_malformed_every_time(fields):
    reader, written = HeaderReader(), b"".join(field(*each) for each in fields)
    assert reader.read(written) is Refused.MALFORMED
    assert reader.read(written) is Refused.MALFORMED


def test_bytes_that_are_no_text_are_accepted_and_trailers_need_no_method():
    assert read(block((b"x", b"\xff\xfe")))[b"x"] == b"\xff\xfe"
    assert HeaderReader().read(field(b"x", b"y")) == {b"x": b"y"}
