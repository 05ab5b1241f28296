"""Who sent a request, by which protocol, and with which tags: for the log.

Tags are the header `x-tags: team=risk,batch=7`. They are never a reason to refuse a request. What is beyond the bounds,
or is no pair, is left out.
"""

from typing import NamedTuple

MAX_TAGS = 8
MAX_CHARS = 64
"""The log keeps so much of a key, and of a value."""

Tags = tuple[tuple[str, str], ...]


class Sender(NamedTuple):
    """`caller` is the id of the API key or the subject of the token, and `door` the protocol. Each may be empty."""

    caller: str = ""
    door: str = ""
    tags: Tags = ()


UNKNOWN = Sender()


def tags_of(header: bytes | None) -> Tags:
    """Return the first `MAX_TAGS` pairs of a header. Of two with the same key the later one counts."""
    if header is None:
        return ()
    found: dict[str, str] = {}
    for pair in header.split(b",", MAX_TAGS)[:MAX_TAGS]:
        key, equals, value = pair.partition(b"=")
        name = _text(key)
        if equals and name:
            found[name] = _text(value)
    return tuple(found.items())


def _text(content: bytes) -> str:
    return content.strip()[: 4 * MAX_CHARS].decode("utf-8", "replace")[:MAX_CHARS]
