"""A sigstore of our own, without a network: its authorities, its logs, and the trust root that names them.

It signs as `model_signing sign sigstore` does with Fulcio and Rekor. None of it needs the package of sigstore.
"""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from cryptography import x509

from tests.support.sigstore_certificates import CertificateAuthority
from tests.support.sigstore_keys import DER, new_key, sign, text, trusted_log
from tests.support.sigstore_rekor import entry_1, entry_2
from tests.support.timestamp_authority import timestamp

E_MAIL = "publisher@example.com"
ISSUER = "https://issuer.example.com"
STATEMENT_TYPE = "application/vnd.in-toto+json"
_LONG_AGO = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


class SigstoreInstance:
    """An authority with its log, a log of signatures, and an authority for timestamps. It signs at `now`."""

    def __init__(self, now: datetime.datetime = _LONG_AGO) -> None:
        self._now = now
        self._authority, self._log, self._clock = CertificateAuthority(now), new_key(), new_key()
        self._clock_certificate = self._authority.certify_clock(self._clock)

    def trust_root(self, path: Path) -> Path:
        """Write the trust root."""
        start = (self._now - datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

        def authority(*certificates: x509.Certificate) -> dict[str, Any]:
            chain = [{"rawBytes": text(each.public_bytes(DER))} for each in certificates]
            subject = {"organization": "example.com", "commonName": "authority"}
            return {
                "subject": subject,
                "uri": "https://authority.example.com",
                "certChain": {"certificates": chain},
                "validFor": {"start": start},
            }

        content = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [trusted_log("https://rekor.example.com", self._log, start)],
            "ctlogs": [trusted_log("https://ctfe.example.com", self._authority.log, start)],
            "certificateAuthorities": [authority(self._authority.root)],
            "timestampAuthorities": [authority(self._clock_certificate, self._authority.root)],
        }
        path.write_text(json.dumps(content))
        return path

    def sign(
        self,
        statement: Mapping[str, Any],
        identity: str = E_MAIL,
        issuer: str = ISSUER,
        *,
        kind: str = STATEMENT_TYPE,
        late: datetime.timedelta = datetime.timedelta(seconds=1),
        rekor: Literal[1, 2] = 1,
    ) -> dict[str, Any]:
        """Return a bundle of a statement. Rekor 1 has logged it so `late`; with Rekor 2 it has a timestamp of now."""
        key, payload = new_key(), json.dumps(statement).encode()
        certificate = self._authority.certify(key, identity, issuer)
        encoded = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
        signature = sign(key, encoded)
        envelope = {"payload": text(payload), "payloadType": kind, "signatures": [{"sig": text(signature)}]}
        material: dict[str, Any] = {"certificate": {"rawBytes": text(certificate.public_bytes(DER))}}
        if rekor == 1:
            at_s = int((self._now + late).timestamp())
            material["tlogEntries"] = [entry_1(self._log, envelope, payload, certificate, at_s)]
        else:
            reply = timestamp(signature, self._clock, self._clock_certificate)
            material["tlogEntries"] = [entry_2(self._log, signature, encoded, certificate)]
            material["timestampVerificationData"] = {"rfc3161Timestamps": [{"signedTimestamp": text(reply)}]}
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": material,
            "dsseEnvelope": envelope,
        }
