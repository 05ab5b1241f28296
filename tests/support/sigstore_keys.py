"""What the parts of our own sigstore have in common: keys, their ids, and texts of bytes."""

import base64
import hashlib
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
Key = ec.EllipticCurvePrivateKey


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def sign(key: Key, content: bytes) -> bytes:
    return key.sign(content, ec.ECDSA(hashes.SHA256()))


def public(key: Key) -> bytes:
    return key.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def id_of(log: Key) -> bytes:
    """Return the id of a log: the SHA-256 of its key (RFC 6962, section 3.2)."""
    return hashlib.sha256(public(log)).digest()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def trusted_log(url: str, key: Key, start: str) -> dict[str, Any]:
    """Return what a trust root says of a log."""
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": text(public(key)),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": {"start": start},
        },
        "logId": {"keyId": text(id_of(key))},
    }
