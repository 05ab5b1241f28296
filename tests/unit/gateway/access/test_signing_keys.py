"""The keys of a JWKS that are taken, and those that are skipped."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from gateway.access.signing_keys import read_signing_keys


def jwks(*entries: object) -> bytes:
    return json.dumps({"keys": entries}).encode()


def test_each_key_is_bound_to_one_algorithm(issuer):
    keys = read_signing_keys(issuer.jwks())
    assert {name: key.algorithm for name, key in keys.by_id.items()} == {
        "RS256": "RS256",
        "ES256": "ES256",
        "EdDSA": "EdDSA",
    }
    assert keys.skipped == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"use": "enc"}, "not for signatures"),
        ({"alg": "HS256"}, "RSA HS256 is not for RS256, ES256 or EdDSA"),
        ({"alg": "RS512"}, "RSA RS512 is not for"),
        ({"alg": "none"}, "RSA none is not for"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "oct is not for"),
        ({"kty": None}, "None is not for"),
        ({"kty": ["RSA"]}, "is not for"),
        ({"n": "AQAB"}, "damaged"),
        ({"n": "!"}, "damaged"),
        ({"n": 5}, "damaged"),
        ({"e": ""}, "damaged"),
        ({"d": "AQAB"}, "private"),
    ],
)
def test_a_key_of_another_kind_is_skipped_with_a_reason(issuer, change, reason):
    keys = read_signing_keys(jwks({**issuer.jwk("RS256"), **change, "kid": "odd"}, issuer.jwk("ES256")))
    assert list(keys.by_id) == ["ES256"]
    assert len(keys.skipped) == 1
    assert keys.skipped[0].startswith("key odd: ")
    assert reason in keys.skipped[0]


def test_short_rsa_keys_and_other_curves_are_skipped(issuer):
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505  # weak on purpose
    short = RSAAlgorithm.to_jwk(weak.public_key(), as_dict=True)
    other = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True)
    keys = read_signing_keys(jwks(short, other, "text", None, issuer.jwk("EdDSA")))
    assert list(keys.by_id) == ["EdDSA"]
    assert [reason.split(": ")[0] for reason in keys.skipped] == ["key 0", "key 1", "key 2", "key 3"]
    assert "1024 bits are too few" in keys.skipped[0]


def test_a_private_key_is_never_repeated(issuer):
    private = RSAAlgorithm.to_jwk(issuer.private["RS256"], as_dict=True)
    keys = read_signing_keys(jwks({**private, "kid": "leaked"}, issuer.jwk("ES256")))
    assert "publish only its public part" in keys.skipped[0]
    assert private["d"] not in repr(keys)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b'{"keys": {}}', b'{"keys": null}', b"<html>"])
def test_other_content_than_a_jwks_is_refused(content):
    with pytest.raises(ValueError, match="It is no JWKS"):
        read_signing_keys(content)


@pytest.mark.parametrize("content", [jwks(), jwks({"kty": "oct", "k": "c2VjcmV0"})])
def test_a_jwks_without_a_usable_key_is_refused(content):
    with pytest.raises(ValueError, match="no usable key"):
        read_signing_keys(content)
