"""Who may do what, asked before every prediction. Decides from what other threads bring; never waits.

A key is looked up by its id and compared by digest, about a microsecond; a token's signature is checked once and
remembered. The keys that the store holds, and the keys that sign tokens, are brought by other threads and swapped in
by one assignment. `admit` and `identify` are for the event loop's thread alone.
"""

import hmac
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from gateway.access.api_keys import ID, LENGTH, PREFIX, digest
from gateway.access.caller import Caller, read_grants
from gateway.access.rate_limit import TokenBucket
from gateway.access.tokens import TokenVerifier
from gateway.errors import RateLimited, Unauthenticated
from store.api_key import ApiKey

_log = structlog.get_logger()

_BEARER = b"Bearer "
_MISSING = (
    "This needs a key: send it as `Authorization: Bearer pk_...` or `x-api-key: pk_...`. "
    "`pointsman keys create` makes one; the command line takes it from POINTSMAN_KEY."
)
_UNKNOWN = "The API key is not valid: it is mistyped, or of another gateway."


class _Held:
    """A key as `identify` wants it."""

    __slots__ = ("bucket", "caller", "digest", "expires_at_s", "revoked")

    def __init__(self, key: ApiKey, before: "_Held | None") -> None:
        self.digest = key.digest
        self.caller = Caller(f"key {key.name}", read_grants(key.scopes, key.routes))
        self.revoked = key.revoked_at_s is not None
        self.expires_at_s = key.expires_at_s
        self.bucket: TokenBucket | None = None
        if key.rate_per_s is not None:
            # What was used of a key's rate is not given back because another key was added.
            known = before.bucket if before is not None else None
            self.bucket = known or TokenBucket(key.rate_per_s, key.burst)


class AccessGuard:
    """See `gateway.inference.service.Guard`. Knows no key until `replace_keys` was called."""

    def __init__(
        self,
        tokens: TokenVerifier | None = None,
        *,
        wall_s: Callable[[], float] = time.time,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = tokens
        self._wall_s = wall_s
        self._clock_s = clock_s
        self._held: Mapping[bytes, _Held] = {}

    def replace_keys(self, keys: Sequence[ApiKey]) -> None:
        """These are the keys from now on. For the refreshing thread. A key with a rate that is none opens nothing."""
        before = self._held
        held: dict[bytes, _Held] = {}
        for key in keys:
            key_id = key.id.encode()
            try:
                held[key_id] = _Held(key, before.get(key_id))
            except ValueError as error:
                _log.warning("gateway.access.key_left_out", key=key.id, error=str(error))
        self._held = held

    def admit(self, headers: Mapping[bytes, bytes], scope: str, route: str | None) -> None:
        """Returns if whoever sent these headers may do this; counts as one use of his rate.

        Raises:
            Unauthenticated: no credential, or none that is valid.
            RateLimited: the key is used more often than it may be.
            Forbidden: the scope or the route is not his.
            NotReady: a token cannot be checked, since the keys that sign them could not be read yet.
        """
        self.identify(headers).require(scope, route)

    def identify(self, headers: Mapping[bytes, bytes]) -> Caller:
        """Who sent these headers; counts as one use of his rate.

        Raises:
            Unauthenticated, RateLimited, NotReady: as `admit`.
        """
        sent = headers.get(b"authorization")
        if sent is None:
            credential = headers.get(b"x-api-key")
            if credential is None:
                raise Unauthenticated(_MISSING)
        elif sent[:7] == _BEARER:
            credential = sent[7:]
        else:
            credential = _other_bearer(sent)
        if credential[:3] != PREFIX:
            return self._by_token(credential, is_bearer=sent is not None)
        held = self._held.get(credential[ID]) if len(credential) == LENGTH else None
        if held is None or not hmac.compare_digest(digest(credential), held.digest):
            raise Unauthenticated(_UNKNOWN)
        if held.revoked:
            raise Unauthenticated("The API key was revoked; ask an operator for another.")
        if held.expires_at_s is not None and self._wall_s() >= held.expires_at_s:
            raise Unauthenticated("The API key has expired; ask an operator for another.")
        if held.bucket is not None:
            wait_s = held.bucket.take(self._clock_s())
            if wait_s > 0:
                raise RateLimited(
                    f"The {held.caller.name} may be used {held.bucket.rate_per_s:g} times a second; "
                    f"come back in {wait_s:.3g} s.",
                    wait_s,
                )
        return held.caller

    def _by_token(self, credential: bytes, *, is_bearer: bool) -> Caller:
        if not is_bearer:
            raise Unauthenticated(_UNKNOWN)
        if self._tokens is None:
            raise Unauthenticated(
                "The bearer credential is no API key (pk_...); tokens are not accepted: POINTSMAN_JWKS is unset."
            )
        return self._tokens.caller(credential)


def _other_bearer(sent: bytes) -> bytes:
    """The credential of a header that spells its scheme or its blanks in another way than most do.

    Raises:
        Unauthenticated: another scheme.
    """
    scheme, _, credential = sent.partition(b" ")
    if scheme.lower() != b"bearer":
        raise Unauthenticated("The Authorization header must read `Bearer` and then an API key or a token.")
    return credential.strip()
