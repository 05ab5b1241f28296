"""Malformed requests for either port. Each is a function of a seed and a number."""

import gzip
import json
import struct
from collections.abc import Callable
from random import Random

ROWS = [[float(index % 17) for index in range(64)]]
TENSOR = {"name": "X", "datatype": "FP32", "shape": [1, 64], "data": ROWS}
V2 = json.dumps({"inputs": [TENSOR]}).encode()
INFER = "/v2/models/digits/infer"
METHOD = "/inference.GRPCInferenceService/ModelInfer"

Edit = Callable[[Random, bytes], bytes]


def chance(*seeds: object) -> Random:
    """Return a generator of random numbers that can be repeated."""
    return Random(" ".join(map(str, seeds)))  # noqa: S311  # nothing here is secret


def http(seed: str, number: int) -> bytes:
    """Return bytes for the HTTP port: one malformed request, or several requests at once."""
    random = chance(seed, number)
    if random.random() < 0.1:
        return b"".join(_damaged(random, _request(random)) for _ in range(random.randrange(2, 9)))
    return random.choice(ODD)(random) if random.random() < 0.5 else _damaged(random, _request(random))


def http2(seed: str, number: int, message: bytes) -> bytes:
    """Return bytes for the gRPC port: a call of which a few bytes are wrong, or no call at all."""
    random = chance(seed, number)
    headers = b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in (
            (":method", "POST"), (":scheme", "http"), (":path", METHOD), (":authority", "localhost"),
            ("te", "trailers"), ("content-type", "application/grpc"),
        )
    )  # fmt: skip
    content = b"\x00" + struct.pack(">I", random.choice([len(message), 0, 2**32 - 1])) + damage(random, message)
    kind, flags = random.choice([(0, 1), (0, 0), (3, 0), (6, 0), (7, 0), (8, 0), (9, 4), (0xF0, 0xFF)])
    frames = _frame(4, 0, 0, b"") + _frame(1, 4, 1, headers) + _frame(kind, flags, 1, content)
    if random.random() < 0.2:
        frames = random.randbytes(random.randrange(1, 2000))
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" if random.random() < 0.9 else b"GET / HTTP/1.1\r\n\r\n"
    return preface + (damage(random, frames) if random.random() < 0.7 else frames)


def damage(random: Random, content: bytes) -> bytes:
    """Return the content with one to three faults."""
    for _ in range(random.randrange(1, 4)):
        content = random.choice(EDITS)(random, content)
    return content


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content


def _request(random: Random) -> tuple[list[bytes], bytes]:
    return random.choice(
        [
            _post(INFER, V2),
            _post(INFER, V2, "accept-encoding: gzip"),
            _post(INFER, gzip.compress(V2), "content-encoding: gzip"),
            _binary(None),
            _post("/v2/models/digits/versions/champion/infer", V2),
            _post("/v1/models/digits:predict", json.dumps({"instances": ROWS}).encode()),
            _post("/api/routes/digits/shift", b'{"weights": {"stable": 100}}'),
            _post("/v2/repository/index", b'{"ready": true}'),
            ([b"GET /v2/models/digits HTTP/1.1", b"host: localhost"], b""),
            ([b"GET /api/routes/digits/history?limit=3 HTTP/1.1", b"host: localhost"], b""),
            ([b"GET /-/healthz HTTP/1.1", b"host: localhost"], b""),
        ]
    )


def _post(path: str, body: bytes, *headers: str) -> tuple[list[bytes], bytes]:
    head = [f"POST {path} HTTP/1.1", "host: localhost", "content-type: application/json", *headers]
    return [line.encode() for line in (*head, f"content-length: {len(body)}")], body


def _binary(length: str | None) -> tuple[list[bytes], bytes]:
    data = struct.pack("<64f", *ROWS[0])
    tensor = {"name": "X", "datatype": "FP32", "shape": [1, 64], "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return _post(INFER, head + data, f"inference-header-content-length: {len(head) if length is None else length}")


def _written(request: tuple[list[bytes], bytes]) -> bytes:
    lines, body = request
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _damaged(random: Random, request: tuple[list[bytes], bytes]) -> bytes:
    """Damage a request anywhere, only in its body (so that HTTP is well-formed), or nowhere."""
    lines, body = request
    where = random.random()
    if where < 0.4:
        return damage(random, _written(request))
    if where < 0.9 and body:
        body = damage(random, body)
        lines = [line for line in lines if not line.startswith(b"content-length")]
        lines.append(b"content-length: %d" % len(body))
    return _written((lines, body))


def _flip(random: Random, content: bytes) -> bytes:
    flipped = bytearray(content)
    for _ in range(random.randrange(1, 9) if content else 0):
        flipped[random.randrange(len(flipped))] ^= 1 << random.randrange(8)
    return bytes(flipped)


def _cut(random: Random, content: bytes) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def _drop(random: Random, content: bytes) -> bytes:
    start = random.randrange(len(content) + 1)
    return content[:start] + content[start + random.randrange(1, 40) :]


def _repeat(random: Random, content: bytes) -> bytes:
    start = random.randrange(len(content) + 1)
    end = start + random.randrange(1, 200)
    return content[:end] + content[start:]


def _insert(random: Random, content: bytes) -> bytes:
    start = random.randrange(len(content) + 1)
    odd = [b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\r\n", b"\r\n\r\n", b"1e999", b'"', b"[" * 3000, b"-", b"9" * 400]
    return content[:start] + random.choice([*odd, random.randbytes(random.randrange(1, 64))]) + content[start:]


EDITS: list[Edit] = [_flip, _cut, _drop, _repeat, _insert]


def _odd_length(random: Random) -> bytes:
    """Write a Content-Length that is there twice, huge, negative, or no number."""
    lines, body = _post(INFER, V2)
    *lines, right = lines
    odd = ["1", "-1", "+5", "0x10", " ", "5, 5", "1e3", "9" * 30, "16777216", "16777217", "268435457", "99999999999999"]
    wrong = b"content-length: " + random.choice(odd).encode()
    return _written(([*lines, *random.sample([right, wrong, wrong], random.randrange(1, 4))], body))


def _odd_header_length(random: Random) -> bytes:
    odd = ["0", "-1", "1", "99999", "9" * 30, "", "0x1", "\xb2", "1" * 9, "16777216"]
    return _written(_binary(random.choice(odd)))


def _odd_chunks(random: Random) -> bytes:
    lines, body = _post(INFER, V2)
    if random.random() < 0.7:
        lines = lines[:-1]
    sizes = [b"%x" % len(body), b"0", b"-1", b"ffffffffffffffffffff", b"zz", b"5;a=b", b"", b"1"]
    chunks = b"".join(random.choice(sizes) + b"\r\n" + body + b"\r\n" for _ in range(random.randrange(1, 4)))
    return _written(([*lines, b"transfer-encoding: chunked"], chunks + random.choice([b"0\r\n\r\n", b"0\r\n", b""])))


def _odd_coding(random: Random) -> bytes:
    body = damage(random, gzip.compress(random.choice([V2, b" " * 200_000, V2 * 3])))
    coding = random.choice(["gzip", "deflate", "x-gzip", "br", "gzip, gzip", "identity"])
    return _written(_post(random.choice([INFER, "/v1/models/digits:predict"]), body, f"content-encoding: {coding}"))


def _odd_json(random: Random) -> bytes:
    depth = random.choice([10, 1000, 100_000])
    bodies = [
        b"[" * depth,
        b'{"inputs":' * depth,
        b'{"instances": ' + b"[" * depth + b"]" * depth + b"}",
        V2.replace(b"[[", b"[" * depth).replace(b"]]", b"]" * depth),
        V2.replace(b"1.0", random.choice([b"1e999", b"NaN", b"null", b'"\\ud800"', b"9" * 5000, b"{}", b"true"])),
        V2.replace(b"[1, 64]", random.choice([b"[-1, 64]", b"[9223372036854775807, 64]", b"[0, 64]", b"[]", b"[1e3]"])),
        V2.replace(b"FP32", random.choice([b"\xff", b"BYTES", b"\\u0000", b"FP16"])),
        b"",
        b"null",
        V2.decode().encode("utf-16"),
    ]
    path = random.choice([INFER, "/v1/models/digits:predict", "/api/routes/digits/shift", "/v2/repository/index"])
    return _written(_post(path, random.choice(bodies)))


def _odd_header(random: Random) -> bytes:
    odd = [
        "x-deadline-ms: 1e400", "x-deadline-ms: nan", "x-deadline-ms: -1", "x-force-arm: \xff", "x-force-arm: nobody",
        "traceparent: 00-zz", "traceparent: " + "0" * 70_000, "expect: 100-continue", "connection: upgrade",
        "upgrade: websocket", "upgrade: h2c", "host: a\r\nhost: b", "x: " + "y" * 200_000, "a:b\r\n" * 3000,
        ": empty", "no colon", "content-type: text/\xff", "accept-encoding: gzip;q=9,,;*", "if-match: \"\xff\"",
    ]  # fmt: skip
    lines, body = _post(INFER, V2)
    return _written(([*lines, random.choice(odd).encode("latin-1")], body))


def _odd_line(random: Random) -> bytes:
    paths = ["/v2/models//infer", "/v2/models/%00/infer", "/v2/models/%ff%fe/infer", "/v1/models/:predict", "/" * 5000]
    paths += [
        "/v2/models/digits/versions/%2e%2e/infer",
        "*",
        "http://[::1",
        "/v2/models/a/b/c/infer",
        "/docs/static/../x",
    ]
    paths += ["/docs/static/%2e%2e/%2e%2e/core.py", "/api/routes/%00", "/v2/models/digits/infer?" + "a" * 70_000]
    line = f"{random.choice(['GET', 'POST', 'PUT', 'DELETE', 'PRI', 'CONNECT', 'post'])} {random.choice(paths)}"
    lines, body = _post(INFER, V2)
    version = random.choice([" HTTP/1.1", " HTTP/1.0", " HTTP/9.9", "", " HTTP/1.1 "])
    return _written(([(line + version).encode(), *lines[1:]], body))


def _odd_protocol(random: Random) -> bytes:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    return random.choice(
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", hello, b"\r\n" * 50, b"\x00" * 100, b"SSH-2.0-x\r\n"]
    ) + random.randbytes(random.randrange(0, 500))


ODD = [
    _odd_length, _odd_header_length, _odd_chunks, _odd_coding, _odd_json, _odd_header, _odd_line, _odd_protocol,
]  # fmt: skip
