"""The head of a request: the limits on its size, and what must be true of its fields.

uvicorn's parser has no limit. A header that does not end would be collected, and copied anew with each packet.
"""

from collections.abc import Sequence

from gateway.errors import BadRequest, HeadersTooLarge
from gateway.http.limits import HttpLimits
from gateway.protocols.request import Header

_PER_FIELD_BYTES = 4
"""The colon, the blank and the line's end."""


def check_head(
    fields: list[Header], target_bytes: int, limits: HttpLimits, *, is_large: bool, may_have_blanks: bool
) -> None:
    """Check a head. Take the blanks around its values away (RFC 9110, 5.5), which the parser leaves at their ends.

    `is_large` says that the head may be above the limit, so that its size has to be counted.

    Raises:
        HeadersTooLarge: there are more fields or bytes than allowed.
    """
    if len(fields) > limits.max_headers:
        raise HeadersTooLarge(f"The request has {len(fields)} headers; at most {limits.max_headers} are taken.")
    if is_large:
        size = target_bytes + sum(len(name) + len(value) + _PER_FIELD_BYTES for name, value in fields)
        if size > limits.max_header_bytes:
            raise too_large(limits.max_header_bytes)
    if may_have_blanks:
        fields[:] = [(name, value.strip(b" \t")) for name, value in fields]


def too_large(max_bytes: int) -> HeadersTooLarge:
    """Return the error for a head that is above the limit."""
    return HeadersTooLarge(f"The request's path and headers are larger than {max_bytes} bytes.")


def fields_by_name(fields: Sequence[Header], *, needs_host: bool = False) -> dict[bytes, bytes]:
    """Return the fields by name. Of a name that is there twice, the last value counts, as over gRPC.

    A proxy that adds a field instead of setting it adds it behind the client's.

    Raises:
        BadRequest: there is not exactly one Host, which HTTP/1.1 wants (RFC 9112, 3.2).
    """
    by_name = dict(fields)
    if needs_host:
        is_single = len(by_name) == len(fields) or [name for name, _ in fields].count(b"host") == 1
        if not is_single or b"host" not in by_name:
            raise BadRequest("HTTP/1.1 wants one Host header in each request; there is none, or more than one.")
    return by_name


def without_upgrade(method: bytes, target: bytes, version: str, fields: Sequence[Header]) -> bytes:
    """Return the bytes of a head that asks for no other protocol.

    A server may ignore `Upgrade` (RFC 9110, 7.8), and this one does. But the parser would take the body for bytes of
    the other protocol. Java's client asks for HTTP/2 in this way with its first request.
    """
    kept = [name + b": " + value for name, value in fields if name != b"upgrade"]
    return b"\r\n".join([method + b" " + target + b" HTTP/" + version.encode(), *kept, b"", b""])
