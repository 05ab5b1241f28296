"""Checks the publisher's signature of a version: the file `model.sig` of sigstore's model-signing.

The file is a bundle of sigstore (JSON) with an envelope of DSSE. Its payload is a statement of in-toto that lists the
SHA-256 of every file (https://model_signing/signature/v1.0). Who must have signed it is told in `runtimes.signers`.
"""

import hashlib
from collections.abc import Callable, Set
from typing import Any

import msgspec

from runtimes.errors import ModelRefused
from runtimes.golden import golden_requests
from runtimes.manifest import MANIFEST, Files, Manifest
from runtimes.signers.setting import read_signer
from runtimes.signers.signer import SIGNATURE

_PREDICATE = "https://model_signing/signature/v1.0"
_HOW = "Sign the folder with `model_signing sign`, and publish it with its model.sig."


class _Resource(msgspec.Struct):
    name: str
    algorithm: str
    digest: str


class _Predicate(msgspec.Struct):
    serialization: dict[str, Any]
    resources: list[_Resource]


class _Subject(msgspec.Struct):
    name: str = ""


class _Statement(msgspec.Struct, rename="camel"):
    predicate_type: str
    predicate: _Predicate
    subject: list[_Subject] = []


msgspec.json.Decoder(_Statement)  # notes the types now: two threads that do so at once end the process


def check_signature(files: Files, manifest: Manifest, wanted: str) -> tuple[None, str]:
    """Check that the wanted signer has signed every file. Return what was found.

    Golden requests and `model.yaml` are made when a version is published, so they need not be signed. A file that is
    signed must be as it was, also if a manifest says that it holds golden requests; one that is not must hold them.

    Raises:
        ModelRefused: there is no such signature, or it is of other files. The sentence says which.
    """

    def is_golden(file: str) -> bool:
        if file != manifest.golden or file == manifest.file:
            return False
        golden_requests(files[file])  # under another name it may be code, which is run before they are read
        return True

    return _check(files, manifest.pinned.keys(), wanted, is_golden)


def check_unread(files: Files, wanted: str) -> tuple[None, str]:
    """Check files of which no manifest was made yet, as `check_signature` does, for a pickle runs code when it is read.

    Which file holds golden requests is not known yet: each that holds some may be unsigned.

    Raises:
        ModelRefused: there is no such signature, or it is of other files. The sentence says which.
    """
    return _check(files, files.keys() - {MANIFEST}, wanted, lambda file: _holds_golden_requests(files[file]))


def _check(files: Files, needed: Set[str], wanted: str, may_be_unsigned: Callable[[str], bool]) -> tuple[None, str]:
    signer = read_signer(wanted)
    if SIGNATURE not in files:
        raise ModelRefused(
            f"The version has no file {SIGNATURE}, and must be signed (POINTSMAN_MODEL_SIGNATURE). {_HOW}"
        )
    statement = _read_statement(signer.statement(files[SIGNATURE]))
    signed = {each.name: each.digest for each in statement.predicate.resources}
    for file in needed - {SIGNATURE}:
        if file not in signed:
            if may_be_unsigned(file):
                continue
            raise ModelRefused(f"{file} is not signed in {SIGNATURE}. {_HOW}")
        if hashlib.sha256(files[file]).hexdigest() != signed[file]:
            raise ModelRefused(f"{file} is not the file that was signed in {SIGNATURE}.")
    missing = sorted(signed.keys() - files.keys() - {MANIFEST})
    if missing:
        raise ModelRefused(f"{missing[0]}, which is signed in {SIGNATURE}, is not among the files of the version.")
    of = "".join(f" of {each.name!r}" for each in statement.subject)
    return None, f"{len(signed)} files{of}, signed {signer.how}"


def _holds_golden_requests(content: bytes) -> bool:
    try:
        golden_requests(content)
    except ModelRefused:
        return False
    return True


def _read_statement(payload: bytes) -> _Statement:
    """Return a statement that lists whole files with their SHA-256."""
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
    return statement
