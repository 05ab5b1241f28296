"""What is done to one text before it is logged."""

import hashlib

from router.spec.log import RedactAction, Redaction
from runtimes.logged_tensors import MAX_TEXT_BYTES

_PURPOSE = b"pointsman-redact"  # so that the hash of a text is not that of a unit with the same text
_LONGEST_CHARACTER = 4
_LEAST_PART = 4
_FORM = bytes(
    ord("9")
    if ord("0") <= code <= ord("9")
    else ord("x")
    if code >= 128 or chr(code).isalpha() or code == ord("?")
    else code
    for code in range(256)
)
"""Latin-1 without what says more than the form. What Latin-1 does not have is `?` before."""


def redacted_text(text: bytes, how: Redaction, secret: bytes) -> bytes:
    """Return a text as `log.redact` says. A missing (empty) text stays empty."""
    if not text:
        return text
    if how.action is RedactAction.HMAC:
        return hashlib.blake2b(text, key=secret, digest_size=16, person=_PURPOSE).hexdigest().encode()
    if how.action is RedactAction.TRUNCATE:
        kept = int(how.amount)
        return text[: _LONGEST_CHARACTER * kept].decode("utf-8", "replace")[:kept].encode()
    return text[:MAX_TEXT_BYTES].decode("utf-8", "replace").encode("latin-1", "replace").translate(_FORM)


def hides(label: bytes, text: bytes) -> bool:
    """Return True if a label is this text, or holds it; texts of less than four bytes are in words by chance."""
    return bool(text) and (label == text or (len(text) >= _LEAST_PART and text in label))
