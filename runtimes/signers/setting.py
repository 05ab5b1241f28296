"""Reads POINTSMAN_MODEL_SIGNATURE.

    key:FILE
    identity:IDENTITY,issuer:ISSUER[,trust:FILE]

The parts of an identity stand in this order and hold no comma, so that none can be taken for two.
"""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from runtimes.errors import ModelRefused
from runtimes.signers.identity import CertifiedIdentity
from runtimes.signers.key import KeyOwner
from runtimes.signers.signer import Signer

_KEY = "key:"
_IDENTITY = re.compile(r"identity:([^,\s]+),issuer:([^,\s]+)(?:,trust:([^,]+))?")


def read_signer(wanted: str) -> Signer:
    """Return the signer that the setting names.

    Raises:
        ModelRefused: the setting names none, or its key cannot be read.
    """
    if wanted.startswith(_KEY):
        return KeyOwner(wanted.removeprefix(_KEY))
    if identity := _IDENTITY.fullmatch(wanted):
        return CertifiedIdentity(identity[1], identity[2], trust=identity[3] or "")
    raise ModelRefused(
        f"POINTSMAN_MODEL_SIGNATURE is {wanted!r}; it must be key:FILE, with the file of a public key, or "
        "identity:IDENTITY,issuer:ISSUER, with ,trust:FILE if it is not the public sigstore. No part may hold a comma."
    )


def changeable(wanted: str) -> bytes:
    """Return what may change while the setting stays: the content of its file, and the version of sigstore."""
    if wanted.startswith(_KEY):
        return _content(wanted.removeprefix(_KEY))
    if identity := _IDENTITY.fullmatch(wanted):
        return _version_of_sigstore() + _content(identity[3] or "")
    return b""


def _version_of_sigstore() -> bytes:
    try:
        return version("sigstore").encode()
    except PackageNotFoundError:
        return b""


def _content(path: str) -> bytes:
    """Return what is in the file, or nothing: verification itself says why it cannot be read."""
    try:
        return Path(path).read_bytes() if path else b""
    except OSError:
        return b""
