"""An issuer with a key of each kind, and clocks that are numbers."""

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
    """Signs tokens; one key per algorithm, whose id is the algorithm's name."""

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
        """Return the key set that the issuer publishes."""
        return json.dumps({"keys": [self.jwk(algorithm) for algorithm in algorithms or ALGORITHMS]}).encode()

    def token(self, algorithm: str = "ES256", headers: Mapping[str, object] | None = None, **claims: object) -> bytes:
        """Return a token that is valid for a minute unless the claims say otherwise. A claim of None is left out."""
        claimed = {"exp": time.time() + 60, "sub": "ada", "scope": "predict", **claims}
        held = {name: value for name, value in claimed.items() if value is not None}
        named = {"kid": algorithm, **(headers or {})}
        # Not jwt.encode: it rejects claims that are wrong, and other libraries may issue them.
        return jwt.PyJWS().encode(json.dumps(held).encode(), self.private[algorithm], algorithm, named).encode()


class Source:
    """Signing keys as the source's thread would keep them."""

    def __init__(self, current: SigningKeys | None) -> None:
        self.current = current
        self.asked = 0

    def ask(self) -> None:
        """See `JwksSource.ask`."""
        self.asked += 1


class Clock:
    """A number that is called."""

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
