"""The authority of our own sigstore: certificates of ten minutes, each with a timestamp of the log that holds it."""

import datetime
import hashlib
import struct
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.sigstore_keys import Key, id_of, new_key, public, sign

Extension = tuple[x509.ExtensionType, bool]
"""An extension, and if it is critical."""

_ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_TIMESTAMPS_OID = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
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
_DAY, _TEN_YEARS = datetime.timedelta(days=1), datetime.timedelta(days=3650)


class CertificateAuthority:
    """An authority and its log of certificates, each with a key."""

    def __init__(self, now: datetime.datetime) -> None:
        self.log = new_key()
        self._now, self._key = now, new_key()
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        extensions = [
            *self._common(self._key, "key_cert_sign", "crl_sign"),
            (x509.BasicConstraints(ca=True, path_length=0), True),
        ]
        self.root = self._certify(self._name, self._key, extensions, 1, (now - _DAY, now + _TEN_YEARS))

    def certify(self, key: Key, identity: str, issuer: str) -> x509.Certificate:
        """Return a certificate of an e-mail address or a URI, for which the issuer has vouched."""
        is_uri = "://" in identity
        name = x509.UniformResourceIdentifier(identity) if is_uri else x509.RFC822Name(identity)
        extensions = [
            *self._common(key, "digital_signature"),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
            (x509.SubjectAlternativeName([name]), True),
            (x509.UnrecognizedExtension(_ISSUER_OID, issuer.encode()), False),
        ]
        made = x509.Name([]), key
        serial, valid = x509.random_serial_number(), (self._now, self._now + datetime.timedelta(minutes=10))
        first = self._certify(*made, [*extensions, self._timestamps(b"")], serial, valid)
        signature = self._log(first.tbs_precertificate_bytes)
        return self._certify(*made, [*extensions, self._timestamps(signature)], serial, valid)

    def certify_clock(self, key: Key) -> x509.Certificate:
        """Return the certificate of an authority for timestamps."""
        extensions = [
            *self._common(key, "digital_signature"),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True),
        ]
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clock")])
        return self._certify(name, key, extensions, 2, (self._now - _DAY, self._now + _TEN_YEARS))

    def _common(self, key: Key, *usages: str) -> list[Extension]:
        return [
            (x509.KeyUsage(**{usage: usage in usages for usage in _USAGES}), True),
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False),
        ]

    def _certify(
        self,
        name: x509.Name,
        key: Key,
        extensions: Iterable[Extension],
        serial: int,
        valid: tuple[datetime.datetime, datetime.datetime],
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(valid[0])
            .not_valid_after(valid[1])
        )
        for extension, is_critical in extensions:
            builder = builder.add_extension(extension, critical=is_critical)
        return builder.sign(self._key, hashes.SHA256())

    @property
    def _milliseconds(self) -> int:
        return int(self._now.timestamp() * 1000)

    def _log(self, precertificate: bytes) -> bytes:
        """Return the log's signature of its promise to hold a certificate (RFC 6962, section 3.2)."""
        entry = hashlib.sha256(public(self._key)).digest() + len(precertificate).to_bytes(3) + precertificate
        return sign(self.log, struct.pack("!BBQH", 0, 0, self._milliseconds, 1) + entry + b"\0\0")

    def _timestamps(self, signature: bytes) -> Extension:
        """Return the extension with one timestamp, in DER and the encoding of TLS (RFC 6962, section 3.3)."""
        sha256_ecdsa = b"\4\3"
        one = b"\0" + id_of(self.log) + struct.pack("!QH", self._milliseconds, 0) + sha256_ecdsa + _sized(signature)
        listed = _sized(_sized(one))
        length = bytes([len(listed)]) if len(listed) < 128 else b"\x81" + bytes([len(listed)])
        return x509.UnrecognizedExtension(_TIMESTAMPS_OID, b"\x04" + length + listed), False


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(2) + content
