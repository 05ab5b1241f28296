"""The log of signatures of our own sigstore. Its entries are those of Rekor 1, which promises to log, or of Rekor 2."""

import hashlib
import json
from typing import Any

from cryptography import x509

from tests.support.sigstore_keys import DER, PEM, Key, id_of, sign, text


def entry_1(log: Key, envelope: dict[str, Any], payload: bytes, certificate: x509.Certificate, at_s: int) -> Any:
    """Return the entry of an envelope in Rekor 1, with its time and the signed promise."""
    (signature,) = envelope["signatures"]
    body = {
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {
            "envelopeHash": _sha256_of(json.dumps(envelope).encode()),
            "payloadHash": _sha256_of(payload),
            "signatures": [{"signature": signature["sig"], "verifier": text(certificate.public_bytes(PEM))}],
        },
    }
    entry = _entry(log, body)
    promised = {
        "body": entry["canonicalizedBody"],
        "integratedTime": at_s,
        "logID": id_of(log).hex(),
        "logIndex": int(entry["logIndex"]),
    }
    promise = {"signedEntryTimestamp": text(sign(log, _canonical(promised)))}
    return {**entry, "integratedTime": str(at_s), "inclusionPromise": promise}


def entry_2(log: Key, signature: bytes, signed: bytes, certificate: x509.Certificate) -> Any:
    """Return the entry of a signature in Rekor 2, which tells no time."""
    verifier = {
        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
        "x509Certificate": {"rawBytes": text(certificate.public_bytes(DER))},
    }
    logged = {
        "data": {"algorithm": "SHA2_256", "digest": text(hashlib.sha256(signed).digest())},
        "signature": {"content": text(signature), "verifier": verifier},
    }
    return _entry(log, {"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": logged}})


def _entry(log: Key, body: dict[str, Any]) -> dict[str, Any]:
    """Return an entry with its proof: it is the second of two, and the checkpoint is signed."""
    canonical = _canonical(body)
    before = hashlib.sha256(b"\0" + b"the entry before").digest()
    root = hashlib.sha256(b"\1" + before + hashlib.sha256(b"\0" + canonical).digest()).digest()
    note = f"rekor.example.com - 1\n2\n{text(root)}\n"
    signed = text(id_of(log)[:4] + sign(log, note.encode()))
    return {
        "logIndex": "1",
        "logId": {"keyId": text(id_of(log))},
        "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
        "inclusionProof": {
            "logIndex": "1",
            "rootHash": text(root),
            "treeSize": "2",
            "hashes": [text(before)],
            "checkpoint": {"envelope": f"{note}\n— rekor.example.com {signed}\n"},
        },
        "canonicalizedBody": text(canonical),
    }


def _canonical(value: Any) -> bytes:
    """Return JSON as RFC 8785 has it, for values that are ASCII and integers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _sha256_of(content: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()}
