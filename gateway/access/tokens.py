"""Signed tokens (JWT): from the bytes of a token to its caller. `gateway.access.jwks` provides the signing keys.

Checking a signature takes about a hundred times as long as looking a token up. So checked tokens are remembered by
digest until they expire or the signing keys change. The algorithm is the signing key's and never the token's. So a
token that is not signed, or is signed with a public key as if it were a shared secret, fits no key.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeGuard

import jwt

from gateway.access.caller import Caller, read_grants
from gateway.access.signing_keys import SigningKey, SigningKeys
from gateway.errors import NotReady, Unauthenticated

LEEWAY_S = 30.0
"""The largest difference allowed between the issuer's clock and ours."""

_REMEMBERED = 10_000
_MAX_BYTES = 8192
_MAX_NAME = 128
_SCOPE_CLAIMS = ("scope", "scp", "scopes")

Claims = Mapping[str, Any]


class KeySource(Protocol):
    """The source of the signing keys: see `gateway.access.jwks`."""

    current: SigningKeys | None

    def refresh_soon(self) -> None:
        """Request that the keys are read again, because a token names a key that is not among the current ones."""


class _Known(NamedTuple):
    caller: Caller
    until_s: float


class TokenVerifier:
    """Verifies tokens. Only the event loop's thread uses it. An empty `issuer` or `audience` is not checked."""

    def __init__(self, source: KeySource, issuer: str, audience: str, wall_s: Callable[[], float] = time.time) -> None:
        self._source = source
        self._issuer = issuer or None
        self._audience = audience or None
        self._wall_s = wall_s
        self._keys: SigningKeys | None = None
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    def caller(self, token: bytes) -> Caller:
        """Return the caller that a token was issued to.

        Raises:
            Unauthenticated: the token is not valid; the sentence says why.
            NotReady: no signing keys could be read yet.
        """
        if len(token) > _MAX_BYTES:
            raise Unauthenticated(f"The token is longer than {_MAX_BYTES} bytes.")
        if self._source.current is not self._keys:
            self._known.clear()
            self._keys = self._source.current
        digest = hashlib.sha256(token).digest()
        known = self._known.get(digest)
        if known is None:
            known = self._known[digest] = self._check(token)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        elif self._wall_s() >= known.until_s:
            del self._known[digest]
            raise Unauthenticated(_EXPIRED)
        else:
            self._known.move_to_end(digest)
        return known.caller

    def _check(self, token: bytes) -> _Known:
        if self._keys is None:
            raise NotReady("Tokens cannot be checked yet: the keys that sign them could not be read. Try again soon.")
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            key = self._keys.find(key_id)
            if key is None:
                self._source.refresh_soon()
                raise Unauthenticated("The token is signed with a key that its issuer does not publish (its kid).")
            claims = self._decode(token, key)
            return _Known(_caller(claims), int(claims["exp"]) + LEEWAY_S)
        except tuple(_SENTENCES) as error:
            raise Unauthenticated(_sentence(error)) from error
        # The issuer may put anything into a token. PyJWT does not map all the errors that odd numbers raise.
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise Unauthenticated(_UNREADABLE) from error

    def _decode(self, token: bytes, key: SigningKey) -> Claims:
        return jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm],
            audience=self._audience,
            issuer=self._issuer,
            leeway=LEEWAY_S,
            options={"require": ["exp"], "verify_aud": self._audience is not None},
        )


def _caller(claims: Claims) -> Caller:
    """Return the caller with the grants that the claims name.

    Raises:
        Unauthenticated: such a claim has the wrong type. A limit that cannot be read must not count as no limit.
    """
    scopes: object = next((claims[name] for name in _SCOPE_CLAIMS if name in claims), [])
    if isinstance(scopes, str):
        scopes = scopes.split()
    routes = claims.get("routes")
    if not _is_strings(scopes) or (routes is not None and not _is_strings(routes)):
        raise Unauthenticated(
            "The token's claims are not as they should be: scope in words, routes as a list of names."
        )
    subject = str(claims.get("sub") or claims.get("client_id") or claims.get("azp") or "")
    plain = subject.encode("ascii", "backslashreplace").decode()
    name = "".join(each if each.isprintable() else "?" for each in plain[:_MAX_NAME])
    return Caller(f"token of {name or 'without a subject'}", read_grants(scopes, routes), name)


def _is_strings(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


_EXPIRED = "The token has expired; get a new one."
_UNREADABLE = "The bearer credential is neither an API key (pk_...) nor a token that can be read."
_SENTENCES: dict[type[Exception], str] = {
    jwt.ExpiredSignatureError: _EXPIRED,
    jwt.ImmatureSignatureError: "The token is not valid yet; compare the clocks of its issuer and of this machine.",
    jwt.InvalidAudienceError: "The token is meant for another audience (its aud).",
    jwt.InvalidIssuerError: "The token is of another issuer (its iss).",
    jwt.InvalidSignatureError: "The token's signature is not valid.",
    jwt.InvalidAlgorithmError: "The token is not signed in the way that its key is for (its alg).",
    jwt.MissingRequiredClaimError: "The token lacks a claim: exp always, aud and iss where they are checked.",
}


def _sentence(error: Exception) -> str:
    return next((sentence for kind, sentence in _SENTENCES.items() if isinstance(error, kind)), _UNREADABLE)
