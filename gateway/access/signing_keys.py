"""The keys that sign tokens, read from a JWKS document. Decides.

Taken are RSA keys from 2048 bits (RS256), P-256 (ES256) and Ed25519 (EdDSA). What else the document holds is passed
over and named: keys for encryption, other algorithms, shared secrets, private keys that should not be there.
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
    """All that an issuer signs with now, by key id. `skipped` says why others were passed over."""

    by_id: Mapping[str, SigningKey]
    skipped: tuple[str, ...] = field(default=())

    def find(self, key_id: object) -> SigningKey | None:
        """The key that a token names; one that names none can mean only an only key."""
        if key_id is None and len(self.by_id) == 1:
            return next(iter(self.by_id.values()))
        return self.by_id.get(key_id) if isinstance(key_id, str) else None


def read_signing_keys(content: bytes) -> SigningKeys:
    """Every usable key of a JWKS document.

    Raises:
        ValueError: it is no JWKS, or holds no usable key.
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
        raise ValueError("no object")  # noqa: TRY004  # the document's fault, not that of a caller's argument
    kind = " ".join(str(entry[name]) for name in ("kty", "crv") if name in entry)
    algorithm = _ALGORITHM.get(kind)
    if algorithm is None or entry.get("alg", algorithm) != algorithm:
        raise ValueError(
            f"{kind or 'no kty'} {entry.get('alg', '')} is not for RS256, ES256 or EdDSA".replace("  ", " ")
        )
    if entry.get("use", "sig") != "sig":
        raise ValueError("not for signatures")
    if "d" in entry:
        raise ValueError("private; whoever can read it can sign: publish only its public part")
    try:
        key = jwt.PyJWK(entry, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        raise ValueError("damaged") from error
    if algorithm == "RS256" and key.key_size < _LEAST_RSA_BITS:
        raise ValueError(f"{key.key_size} bits are too few")
    return SigningKey(algorithm, key)
