"""A sigstore of our own, without a network: an authority, the two logs, and the trust root that names them.

It signs as `model_signing sign sigstore` does with Fulcio, its log of certificates (RFC 6962) and Rekor 1: a
certificate of ten minutes with a timestamp of that log, and an entry of Rekor with its promise, its proof and a signed
checkpoint. None of it needs the package of sigstore.
"""

import base64
import datetime
import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

E_MAIL = "publisher@example.com"
ISSUER = "https://issuer.example.com"
STATEMENT_TYPE = "application/vnd.in-toto+json"
_DER = serialization.Encoding.DER
_ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_TIMESTAMPS_OID = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_SIGNED_AT = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


class SigstoreInstance:
    """An authority, a log of certificates and a log of signatures, each with a key of its own."""

    def __init__(self) -> None:
        self._authority, self._certificates_log, self._signatures_log = (_key() for _ in range(3))
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        self._root = self._certify(self._name, self._authority, _authority_extensions(self._authority))

    def trust_root(self, path: Path) -> Path:
        """Write the trust root that names the authority and the logs."""
        path.write_text(
            json.dumps(
                {
                    "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                    "tlogs": [_log("https://rekor.example.com", self._signatures_log)],
                    "ctlogs": [_log("https://ctfe.example.com", self._certificates_log)],
                    "certificateAuthorities": [
                        {
                            "subject": {"organization": "example.com", "commonName": "authority"},
                            "uri": "https://fulcio.example.com",
                            "certChain": {"certificates": [{"rawBytes": _text(self._root.public_bytes(_DER))}]},
                            "validFor": {"start": "2026-01-01T00:00:00Z"},
                        }
                    ],
                }
            )
        )
        return path

    def sign(
        self,
        statement: Mapping[str, Any],
        identity: str = E_MAIL,
        issuer: str = ISSUER,
        *,
        kind: str = STATEMENT_TYPE,
        late: datetime.timedelta = datetime.timedelta(seconds=1),
    ) -> dict[str, Any]:
        """Return a bundle of a statement, which was logged so `late` after the certificate was made."""
        key, payload = _key(), json.dumps(statement).encode()
        certificate = self._certificate(key, identity, issuer)
        signature = _sign(key, f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload)
        envelope = {"payload": _text(payload), "payloadType": kind, "signatures": [{"sig": _text(signature)}]}
        verifier = _text(certificate.public_bytes(serialization.Encoding.PEM))
        body = {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": _sha256_of(json.dumps(envelope).encode()),
                "payloadHash": _sha256_of(payload),
                "signatures": [{"signature": _text(signature), "verifier": verifier}],
            },
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": _text(certificate.public_bytes(_DER))},
                "tlogEntries": [self._logged(_canonical(body), int((_SIGNED_AT + late).timestamp()))],
            },
            "dsseEnvelope": envelope,
        }

    def _certificate(self, key: ec.EllipticCurvePrivateKey, identity: str, issuer: str) -> x509.Certificate:
        """Return a certificate with the timestamp of the log that holds it."""
        name: x509.GeneralName = x509.RFC822Name(identity)
        if "://" in identity:
            name = x509.UniformResourceIdentifier(identity)
        extensions = [
            *_common(key, self._authority, "digital_signature"),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
            (x509.SubjectAlternativeName([name]), True),
            (x509.UnrecognizedExtension(_ISSUER_OID, issuer.encode()), False),
        ]
        serial = x509.random_serial_number()
        first = self._certify(x509.Name([]), key, [*extensions, _timestamps(b"\0" * 32, b"")], serial)
        timestamps = self._timestamp(first.tbs_precertificate_bytes)
        return self._certify(x509.Name([]), key, [*extensions, timestamps], serial)

    def _certify(self, name: x509.Name, key: Any, extensions: Any, serial: int = 1) -> x509.Certificate:
        start, end = _SIGNED_AT, _SIGNED_AT + datetime.timedelta(minutes=10)
        if name == self._name:
            start, end = _SIGNED_AT - datetime.timedelta(days=1), _SIGNED_AT + datetime.timedelta(days=3650)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(start)
            .not_valid_after(end)
        )
        for extension, is_critical in extensions:
            builder = builder.add_extension(extension, critical=is_critical)
        return builder.sign(self._authority, hashes.SHA256())

    def _timestamp(self, precertificate: bytes) -> tuple[x509.ExtensionType, bool]:
        """Return the promise of the log of certificates to hold one (RFC 6962, section 3.2)."""
        entry = hashlib.sha256(_public(self._authority)).digest() + len(precertificate).to_bytes(3) + precertificate
        milliseconds = int(_SIGNED_AT.timestamp() * 1000)
        signature = _sign(self._certificates_log, struct.pack("!BBQH", 0, 0, milliseconds, 1) + entry + b"\0\0")
        return _timestamps(_id_of(self._certificates_log), signature)

    def _logged(self, body: bytes, at_s: int) -> dict[str, Any]:
        """Return an entry of Rekor, the second of a log of two."""
        before = hashlib.sha256(b"\0" + b"the entry before").digest()
        root = hashlib.sha256(b"\1" + before + hashlib.sha256(b"\0" + body).digest()).digest()
        note = f"rekor.example.com - 1\n2\n{_text(root)}\n"
        signed = _id_of(self._signatures_log)[:4] + _sign(self._signatures_log, note.encode())
        promised = {
            "body": _text(body),
            "integratedTime": at_s,
            "logID": _id_of(self._signatures_log).hex(),
            "logIndex": 1,
        }
        return {
            "logIndex": "1",
            "logId": {"keyId": _text(_id_of(self._signatures_log))},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(at_s),
            "inclusionPromise": {"signedEntryTimestamp": _text(_sign(self._signatures_log, _canonical(promised)))},
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": _text(root),
                "treeSize": "2",
                "hashes": [_text(before)],
                "checkpoint": {"envelope": f"{note}\n— rekor.example.com {_text(signed)}\n"},
            },
            "canonicalizedBody": _text(body),
        }


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _sign(key: ec.EllipticCurvePrivateKey, content: bytes) -> bytes:
    return key.sign(content, ec.ECDSA(hashes.SHA256()))


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(_DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _id_of(log: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the id of a log: the SHA-256 of its key (RFC 6962, section 3.2)."""
    return hashlib.sha256(_public(log)).digest()


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _canonical(value: Any) -> bytes:
    """Return JSON as RFC 8785 has it, for values that are ASCII and integers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _sha256_of(content: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()}


def _common(key: Any, authority: Any, *usages: str) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.KeyUsage(**{usage: usage in usages for usage in _USAGES}), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False),
    ]


def _authority_extensions(key: Any) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        *_common(key, key, "key_cert_sign", "crl_sign"),
        (x509.BasicConstraints(ca=True, path_length=0), True),
    ]


def _timestamps(log_id: bytes, signature: bytes) -> tuple[x509.ExtensionType, bool]:
    """Return the extension with one timestamp of a log, in DER and the encoding of TLS (RFC 6962, section 3.3)."""
    milliseconds = int(_SIGNED_AT.timestamp() * 1000)
    sha256_ecdsa = b"\4\3"
    one = b"\0" + log_id + struct.pack("!QH", milliseconds, 0) + sha256_ecdsa + _sized(signature)
    listed = _sized(_sized(one))
    length = bytes([len(listed)]) if len(listed) < 128 else b"\x81" + bytes([len(listed)])
    return x509.UnrecognizedExtension(_TIMESTAMPS_OID, b"\x04" + length + listed), False


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(2) + content


def _log(url: str, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": _text(_public(key)),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": {"start": "2026-01-01T00:00:00Z"},
        },
        "logId": {"keyId": _text(_id_of(key))},
    }
