"""Checks the publisher's signature of a version: the file `model.sig` of sigstore's model-signing, made with a key.

The file is a bundle of sigstore (JSON) with an envelope of DSSE. Its payload is a statement of in-toto that lists the
SHA-256 of every file (https://model_signing/signature/v1.0). The signature is ECDSA with the hash of the curve's size.
"""

import base64
import hashlib
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runtimes.errors import ModelRefused
from runtimes.golden import golden_requests
from runtimes.manifest import MANIFEST, Files, Manifest

SIGNATURE = "model.sig"
_KEY = "key:"
_PAYLOAD = "application/vnd.in-toto+json"
_PREDICATE = "https://model_signing/signature/v1.0"
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_HOW = "Sign the folder with `model_signing sign key`, and publish it with its model.sig."


class _Signature(msgspec.Struct):
    sig: str


class _Envelope(msgspec.Struct, rename="camel"):
    payload: str
    payload_type: str
    signatures: list[_Signature]


class _Bundle(msgspec.Struct, rename="camel"):
    dsse_envelope: _Envelope


class _Resource(msgspec.Struct):
    name: str
    algorithm: str
    digest: str


class _Predicate(msgspec.Struct):
    serialization: dict[str, Any]
    resources: list[_Resource]


class _Statement(msgspec.Struct, rename="camel"):
    predicate_type: str
    predicate: _Predicate


def check_signature(files: Files, manifest: Manifest, wanted: str) -> tuple[None, str]:
    """Check that the owner of the wanted key has signed every file. Return what was found.

    Golden requests and `model.yaml` are made when a version is published, so they need not be signed. A file that is
    signed must be as it was, also if a manifest says that it holds golden requests; one that is not must hold them.

    Raises:
        ModelRefused: there is no such signature, or it is of other files. The sentence says which.
    """
    key, path = _read_key(wanted)
    if SIGNATURE not in files:
        raise ModelRefused(
            f"The version has no file {SIGNATURE}, and must be signed (POINTSMAN_MODEL_SIGNATURE). {_HOW}"
        )
    signed = _signed(files[SIGNATURE], key)
    for file in manifest.pinned.keys() - {SIGNATURE}:
        if file not in signed and file == manifest.golden != manifest.file:
            golden_requests(files[file])  # under another name it may be code, which is run before they are read
            continue
        if file not in signed:
            raise ModelRefused(f"{file} is not signed in {SIGNATURE}. {_HOW}")
        if hashlib.sha256(files[file]).hexdigest() != signed[file]:
            raise ModelRefused(f"{file} is not the file that was signed in {SIGNATURE}.")
    missing = sorted(signed.keys() - files.keys() - {MANIFEST})
    if missing:
        raise ModelRefused(f"{missing[0]}, which is signed in {SIGNATURE}, is not among the files of the version.")
    return None, f"{len(signed)} files, signed with the key of {path}"


def _read_key(wanted: str) -> tuple[ec.EllipticCurvePublicKey, str]:
    if not wanted.startswith(_KEY):
        raise ModelRefused(f"POINTSMAN_MODEL_SIGNATURE is {wanted!r}; it must be key: and the file of a public key.")
    path = wanted.removeprefix(_KEY)
    try:
        key = serialization.load_pem_public_key(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise ModelRefused(f"The public key {path} (POINTSMAN_MODEL_SIGNATURE) cannot be read: {error}.") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HASHES:
        raise ModelRefused(f"The public key {path} is of no curve of {', '.join(_HASHES)}.")
    return key, path


def _signed(content: bytes, key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Return the SHA-256 of each file that is signed."""
    try:
        envelope = msgspec.json.decode(content, type=_Bundle).dsse_envelope
        payload = base64.b64decode(envelope.payload, validate=True)
        signatures = [base64.b64decode(each.sig, validate=True) for each in envelope.signatures]
    except (ValueError, msgspec.DecodeError) as error:
        raise ModelRefused(
            f"{SIGNATURE} is no signature of model-signing that was made with a key: {error}."
        ) from error
    if envelope.payload_type != _PAYLOAD or not any(_verifies(key, each, payload) for each in signatures):
        raise ModelRefused(f"{SIGNATURE} was not made with the key that POINTSMAN_MODEL_SIGNATURE names.")
    try:
        statement = msgspec.json.decode(payload, type=_Statement)
    except msgspec.DecodeError as error:
        raise ModelRefused(f"{SIGNATURE} signs something else than a model: {error}.") from error
    predicate = statement.predicate
    algorithms = {each.algorithm for each in predicate.resources}
    if (
        statement.predicate_type != _PREDICATE
        or predicate.serialization.get("method") != "files"
        or algorithms != {"sha256"}
    ):
        raise ModelRefused(f"{SIGNATURE} does not list whole files with SHA-256. {_HOW}")
    return {each.name: each.digest for each in predicate.resources}


def _verifies(key: ec.EllipticCurvePublicKey, signature: bytes, payload: bytes) -> bool:
    """Return True if the signature is that of the payload, in DSSE's pre-authentication encoding."""
    encoded = b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD), _PAYLOAD.encode(), len(payload), payload)
    try:
        key.verify(signature, encoded, ec.ECDSA(_HASHES[key.curve.name]))
    except InvalidSignature:
        return False
    return True
