"""The keys that sign tokens, read from a JWKS document.

RSA keys from 2048 bits (RS256), P-256 keys (ES256) and Ed25519 keys (EdDSA) are taken. All others are skipped, and the
log says why: keys for encryption, other algorithms, shared secrets, and private keys, which should not be there.
`jwt.PyJWKSet` skips keys too, but it does not say why, and it takes shared secrets and short RSA keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jwt
import orjson

_ALGORITHM = {"RSA": "RS256", "EC P-256": "ES256", "OKP Ed25519": "EdDSA"}
_LEAST_RSA_BITS = 2048


class SigningKey(NamedTuple):
    """A public key, and the one algorithm that it verifies."""

    algorithm: str
    key: Any


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The keys that an issuer signs with now, by key id. `skipped` says why each other key was skipped."""

    by_id: Mapping[str, SigningKey]
    skipped: tuple[str, ...] = field(default=())

    def find(self, key_id: object) -> SigningKey | None:
        """Return the key that a token names. If the token names none, return the key if there is only one."""
        if key_id is None and len(self.by_id) == 1:
            return next(iter(self.by_id.values()))
        return self.by_id.get(key_id) if isinstance(key_id, str) else None


def read_signing_keys(content: bytes) -> SigningKeys:
    """Return every usable key of a JWKS document.

    Raises:
        ValueError: it is not a JWKS, or has no usable key.
    """
    try:
        document = orjson.loads(content)
        entries = document["keys"]
        if not isinstance(entries, list):
            raise TypeError("keys is no list")
    except (orjson.JSONDecodeError, TypeError, KeyError) as error:
        raise ValueError('It is no JWKS: a JSON object with a list "keys".') from error
    taken: dict[str, SigningKey] = {}
    skipped: list[str] = []
    for number, entry in enumerate(entries):
        try:
            key_id = str(entry.get("kid", "")) if isinstance(entry, dict) else ""
            taken[key_id] = _signing_key(entry)
        except ValueError as error:
            skipped.append(f"key {key_id or number}: {error}")
    if not taken:
        raise ValueError(f"It holds no usable key ({'; '.join(skipped) or 'it is empty'}).")
    return SigningKeys(taken, tuple(skipped))


def _signing_key(entry: object) -> SigningKey:
    if not isinstance(entry, dict):
        raise ValueError("no object")  # noqa: TRY004  # the content of the document is wrong, not the type of an argument
    kind = " ".join(str(entry[name]) for name in ("kty", "crv") if name in entry)
    algorithm = _ALGORITHM.get(kind)
    if algorithm is None or entry.get("alg", algorithm) != algorithm:
        raise ValueError(
            f"{kind or 'no kty'} {entry.get('alg', '')} is not for RS256, ES256 or EdDSA".replace("  ", " ")
        )
    if entry.get("use", "sig") != "sig":
        raise ValueError("not for signatures")
    if "d" in entry:
        raise ValueError("private: every reader of it can sign tokens; publish only its public part")
    try:
        key = jwt.PyJWK(entry, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        raise ValueError("damaged") from error
    if algorithm == "RS256" and key.key_size < _LEAST_RSA_BITS:
        raise ValueError(f"{key.key_size} bits are too few")
    return SigningKey(algorithm, key)
