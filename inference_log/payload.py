"""The entry of a segment that holds the bodies of one request."""

import msgspec


class Body(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of a body as it came or went, and its whole size in bytes.

    `kind` and `encoding` are its media type and compression, or empty. `json_bytes` is the length of the JSON before
    the bytes of tensors (V2's binary form), or None.
    """

    content: bytes
    size: int
    kind: str = ""
    encoding: str = ""
    json_bytes: int | None = None


class Payload(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """The bodies of one request, which was answered at `at_us`, in microseconds since the epoch."""

    route: str
    decision_id: str
    at_us: int
    door: str
    status: int
    request: Body
    response: Body
