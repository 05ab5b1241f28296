"""The owner of a key, as `model_signing sign key` signs: ECDSA with the hash of the curve's size, over DSSE."""

import base64
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runtimes.errors import ModelRefused
from runtimes.signers.signer import SIGNATURE, STATEMENT_TYPE

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


class _Signature(msgspec.Struct):
    sig: str


class _Envelope(msgspec.Struct, rename="camel"):
    payload: str
    payload_type: str
    signatures: list[_Signature]


class _Bundle(msgspec.Struct, rename="camel"):
    dsse_envelope: _Envelope


msgspec.json.Decoder(_Bundle)  # notes the types now: two threads that do so at once end the process


class KeyOwner:
    """The owner of the private key to the public one in a file of PEM.

    Raises:
        ModelRefused: the file holds no such key.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            key = serialization.load_pem_public_key(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            raise ModelRefused(f"The public key {path} (POINTSMAN_MODEL_SIGNATURE) cannot be read: {error}.") from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HASHES:
            raise ModelRefused(f"The public key {path} is of no curve of {', '.join(_HASHES)}.")
        self._key = key

    @property
    def how(self) -> str:
        """By what it was signed, after `signed`."""
        return f"with the key of {self._path}"

    def statement(self, bundle: bytes) -> bytes:
        """Return the statement in a bundle that was signed with the key.

        Raises:
            ModelRefused: it was not.
        """
        try:
            envelope = msgspec.json.decode(bundle, type=_Bundle).dsse_envelope
            payload = base64.b64decode(envelope.payload, validate=True)
            signatures = [base64.b64decode(each.sig, validate=True) for each in envelope.signatures]
        except (ValueError, msgspec.DecodeError) as error:
            raise ModelRefused(
                f"{SIGNATURE} is no signature of model-signing that was made with a key: {error}."
            ) from error
        if envelope.payload_type != STATEMENT_TYPE or not any(
            _verifies(self._key, each, payload) for each in signatures
        ):
            raise ModelRefused(f"{SIGNATURE} was not made with the key that POINTSMAN_MODEL_SIGNATURE names.")
        return payload


def _verifies(key: ec.EllipticCurvePublicKey, signature: bytes, payload: bytes) -> bool:
    """Return True if the signature is that of the payload, in DSSE's pre-authentication encoding."""
    encoded = b"DSSEv1 %d %s %d %s" % (len(STATEMENT_TYPE), STATEMENT_TYPE.encode(), len(payload), payload)
    try:
        key.verify(signature, encoded, ec.ECDSA(_HASHES[key.curve.name]))
    except InvalidSignature:
        return False
    return True
