"""API keys: how they are made, recognised and written.

A key reads `pk_<id>_<secret>`: 12 and 64 hexadecimal digits. The id is public and names the key in lists; the secret
is 256 random bits. The store keeps the SHA-256 of the whole key. A slow hash such as argon2 protects secrets that can
be guessed. 256 random bits cannot be guessed, and with a slow hash on the path of every request, an attacker could
overload the gateway.
"""

import hashlib
import math
import secrets
from collections.abc import Sequence

from gateway.access.caller import SCOPES, read_grants
from store.api_key import ApiKey

PREFIX = b"pk_"
_ID_DIGITS, _SECRET_DIGITS = 12, 64
LENGTH = len(PREFIX) + _ID_DIGITS + 1 + _SECRET_DIGITS
ID = slice(len(PREFIX), len(PREFIX) + _ID_DIGITS)

_MAX_NAME = 64
_MAX_RATE_PER_S = 1e6


def digest(key: bytes) -> bytes:
    """Return the digest by which a key is recognised."""
    return hashlib.sha256(key).digest()


def make_key(
    name: str,
    scopes: Sequence[str],
    *,
    created_by: str,
    now_s: float,
    routes: Sequence[str] | None = None,
    rate_per_s: float | None = None,
    burst: float | None = None,
    expires_at_s: float | None = None,
) -> tuple[ApiKey, str]:
    """Return a new key: the record to store, and the text to show once.

    Without `burst`, the requests of one second may come at once.

    Raises:
        ValueError: a name, scope, route, rate or expiry is not valid; the sentence says which.
    """
    if not (name and len(name) <= _MAX_NAME and name.isascii() and name.isprintable()):
        raise ValueError(f"A key's name has 1 to {_MAX_NAME} printable ASCII characters, not {name!r}.")
    _require_scopes(scopes, routes)
    if rate_per_s is None and burst is not None:
        raise ValueError("A burst needs a rate: requests per second.")
    if rate_per_s is not None and not 0 < rate_per_s <= _MAX_RATE_PER_S:
        raise ValueError(f"A rate is a number of requests per second above 0, at most a million, not {rate_per_s}.")
    if burst is None:
        burst = max(1.0, math.ceil(rate_per_s or 0))
    if not 1 <= burst <= _MAX_RATE_PER_S:
        raise ValueError(f"A burst is a number of requests from 1 to a million, not {burst}.")
    if expires_at_s is not None and not now_s < expires_at_s < math.inf:
        raise ValueError("A key must expire later than now.")
    key_id = secrets.token_hex(_ID_DIGITS // 2)
    shown = f"{PREFIX.decode()}{key_id}_{secrets.token_hex(_SECRET_DIGITS // 2)}"
    key = ApiKey(
        id=key_id,
        name=name,
        digest=digest(shown.encode()),
        scopes=tuple(scopes),
        created_at_s=now_s,
        created_by=created_by,
        routes=None if routes is None else tuple(routes),
        rate_per_s=rate_per_s,
        burst=burst,
        expires_at_s=expires_at_s,
    )
    return key, shown


def state(key: ApiKey, now_s: float) -> str:
    """Return `ACTIVE`, `EXPIRED` or `REVOKED`."""
    if key.revoked_at_s is not None:
        return "REVOKED"
    return "EXPIRED" if key.expires_at_s is not None and now_s >= key.expires_at_s else "ACTIVE"


def _require_scopes(scopes: Sequence[str], routes: Sequence[str] | None) -> None:
    if not scopes:
        raise ValueError(f"A key needs at least one scope: {', '.join(SCOPES)}.")
    for written in scopes:
        scope, colon, route = written.partition(":")
        if scope not in SCOPES or (colon and not route):
            raise ValueError(
                f"{written!r} is no scope; there are {', '.join(SCOPES)}, each also on one route: predict:fraud."
            )
        if not read_grants([written], routes):
            raise ValueError(f"The scope {written} lies outside the routes that the key is limited to.")
