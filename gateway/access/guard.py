"""Admits or rejects each request by its key or token.

A key is looked up by its id and compared by digest, which takes about a microsecond. The signature of a token is
checked once and remembered. Nothing here waits: other threads read the API keys from the store and the signing keys
from their source, and swap them in by one assignment. Only the event loop's thread calls `admit` and `identify`.
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


class _KnownKey:
    """A key in the form in which `identify` uses it."""

    __slots__ = ("bucket", "caller", "digest", "expires_at_s", "revoked")

    def __init__(self, key: ApiKey, before: "_KnownKey | None") -> None:
        self.digest = key.digest
        self.caller = Caller(f"key {key.name}", read_grants(key.scopes, key.routes), key.id)
        self.revoked = key.revoked_at_s is not None
        self.expires_at_s = key.expires_at_s
        self.bucket: TokenBucket | None = None
        if key.rate_per_s is not None:
            # The bucket is kept when the keys are replaced: otherwise each change would refill it.
            kept = before.bucket if before is not None else None
            self.bucket = kept or TokenBucket(key.rate_per_s, key.burst)


class AccessGuard:
    """See `gateway.inference.service.Guard`. It knows no key until `replace_keys` has been called."""

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
        self._known: Mapping[bytes, _KnownKey] = {}

    def replace_keys(self, keys: Sequence[ApiKey]) -> None:
        """Replace all keys. The reconciler's thread calls this. A key with an invalid rate is left out."""
        before = self._known
        known: dict[bytes, _KnownKey] = {}
        for key in keys:
            key_id = key.id.encode()
            try:
                known[key_id] = _KnownKey(key, before.get(key_id))
            except ValueError as error:
                _log.warning("gateway.access.key_left_out", key=key.id, error=str(error))
        self._known = known

    def admit(self, headers: Mapping[bytes, bytes], scope: str, route: str | None) -> str:
        """Raise unless the credential in the headers has the scope on the route. Count one use of its rate.

        Return the id of the key, or the subject of the token.

        Raises:
            Unauthenticated: there is no credential, or it is not valid.
            RateLimited: the key is used more often than its rate allows.
            Forbidden: the credential has no such scope, or not on this route.
            NotReady: a token cannot be checked, since no signing keys could be read yet.
        """
        caller = self.identify(headers)
        caller.require(scope, route)
        return caller.id

    def check(self, headers: Mapping[bytes, bytes], scope: str, route: str | None) -> None:
        """Raise unless the credential in the headers has the scope on the route. Count nothing.

        A request whose body is still to be read is checked in this way, and admitted later.

        Raises:
            Unauthenticated, Forbidden, NotReady: as in `admit`.
        """
        self.identify(headers, counts=False).require(scope, route)

    def check_scope(self, headers: Mapping[bytes, bytes], scope: str) -> None:
        """Raise unless the credential in the headers has the scope on some route. Count nothing.

        A request that names its route in its body is checked in this way before the body is read, and admitted later.

        Raises:
            Unauthenticated, Forbidden, NotReady: as in `admit`.
        """
        self.identify(headers, counts=False).require_on_some_route(scope)

    def identify(self, headers: Mapping[bytes, bytes], *, counts: bool = True) -> Caller:
        """Return the caller whose credential is in the headers. Count one use of its rate, unless told not to.

        Raises:
            Unauthenticated, RateLimited, NotReady: as in `admit`.
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
        known = self._known.get(credential[ID]) if len(credential) == LENGTH else None
        if known is None or not hmac.compare_digest(digest(credential), known.digest):
            raise Unauthenticated(_UNKNOWN)
        if known.revoked:
            raise Unauthenticated("The API key was revoked; ask an operator for another.")
        if known.expires_at_s is not None and self._wall_s() >= known.expires_at_s:
            raise Unauthenticated("The API key has expired; ask an operator for another.")
        if counts and known.bucket is not None:
            wait_s = known.bucket.take(self._clock_s())
            if wait_s > 0:
                raise RateLimited(
                    f"The {known.caller.name} may be used {known.bucket.rate_per_s:g} times a second; "
                    f"try again in {wait_s:.3g} s.",
                    wait_s,
                )
        return known.caller

    def _by_token(self, credential: bytes, *, is_bearer: bool) -> Caller:
        if not is_bearer:
            raise Unauthenticated(_UNKNOWN)
        if self._tokens is None:
            raise Unauthenticated(
                "The bearer credential is no API key (pk_...); tokens are not accepted: POINTSMAN_JWKS is unset."
            )
        return self._tokens.caller(credential)


def _other_bearer(sent: bytes) -> bytes:
    """Return the credential of a header that spells `Bearer` in another case or has other blanks.

    Raises:
        Unauthenticated: the header has another scheme.
    """
    scheme, _, credential = sent.partition(b" ")
    if scheme.lower() != b"bearer":
        raise Unauthenticated("The Authorization header must read `Bearer` and then an API key or a token.")
    return credential.strip()
