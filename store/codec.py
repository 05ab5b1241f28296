"""How stores write down what they keep: JSON, the same in every kind of store. Decides."""

import json
from typing import TypeVar

import msgspec

from router.document.document import Document, from_dict, to_dict
from router.errors import Corrupt
from router.evidence.sums import SumKey
from store.api_key import ApiKey
from store.interface import Change, Entry, Report

LARGEST_SUM = 2**63 - 1
"""Sums stop here, and at its negative, rather than overflow."""

_Kept = TypeVar("_Kept", Report, ApiKey, SumKey)


def encode(kept: Change | Report | ApiKey | SumKey) -> str:
    """The stored form of everything but documents."""
    return msgspec.json.encode(kept).decode()


def encode_document(document: Document) -> str:
    """The stored form of a document."""
    return json.dumps(to_dict(document))


def decode_entry(document: str, change: str) -> Entry:
    """Reads a version of a document back.

    Raises:
        Corrupt: it is not one.
    """
    try:
        return Entry(from_dict(json.loads(document)), msgspec.json.decode(change, type=Change))
    except (json.JSONDecodeError, msgspec.DecodeError) as error:
        raise Corrupt(f"A stored document is not JSON: {error}.") from error


def decode(kept: str, kind: type[_Kept]) -> _Kept | None:
    """None for what is damaged, or what another version of this program wrote."""
    try:
        return msgspec.json.decode(kept, type=kind)
    except msgspec.DecodeError:
        return None


def clamped(value: int) -> int:
    """The value, or the largest that a store can hold."""
    return max(-LARGEST_SUM, min(LARGEST_SUM, value))
