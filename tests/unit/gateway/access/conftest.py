"""An issuer with a key of each kind, a source of its public keys, and clocks that a test sets."""

import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.access.signing_keys import SigningKeys, read_signing_keys

ALGORITHMS = ("RS256", "ES256", "EdDSA")


class Issuer:
    """Signs tokens. It has one key per algorithm, and the id of the key is the name of the algorithm."""

    def __init__(self) -> None:
        self.private: dict[str, Any] = {
            "RS256": rsa.generate_private_key(65537, 2048),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }

    def jwk(self, algorithm: str, **more: object) -> dict[str, Any]:
        """Return the public part of a key."""
        public = self.private[algorithm].public_key()
        encoder = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}[algorithm]
        return {**encoder.to_jwk(public, as_dict=True), "kid": algorithm, **more}

    def jwks(self, *algorithms: str) -> bytes:
        """Return the document that the issuer publishes."""
        return json.dumps({"keys": [self.jwk(algorithm) for algorithm in algorithms or ALGORITHMS]}).encode()

    def token(self, algorithm: str = "ES256", headers: Mapping[str, object] | None = None, **claims: object) -> bytes:
        """Return a token that is valid for a minute unless the claims say otherwise. A claim of None is left out."""
        given = {"exp": time.time() + 60, "sub": "ada", "scope": "predict", **claims}
        held = {name: value for name, value in given.items() if value is not None}
        named = {"kid": algorithm, **(headers or {})}
        # Not jwt.encode: it checks claims, and other libraries can issue claims that are wrong.
        return jwt.PyJWS().encode(json.dumps(held).encode(), self.private[algorithm], algorithm, named).encode()


class Source:
    """A source of signing keys that a test sets."""

    def __init__(self, current: SigningKeys | None) -> None:
        self.current = current
        self.refreshes = 0

    def refresh_soon(self) -> None:
        """See `JwksSource.refresh_soon`."""
        self.refreshes += 1


class Clock:
    """A clock that shows the time that a test sets."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def source(issuer) -> Source:
    return Source(read_signing_keys(issuer.jwks()))


@pytest.fixture
def wall() -> Clock:
    return Clock(time.time())


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)
