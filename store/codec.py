"""The stored form of everything in a store: JSON, the same in every kind of store."""

import json
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from router.document.document import Document
from router.document.learned import LearnedPolicy, policy_from_dict, policy_to_dict
from router.document.stored import from_dict, to_dict
from router.errors import Corrupt
from router.evidence.sums import ALL_UNITS, SumKey
from router.rewards.sums import RewardKey
from store.api_key import ApiKey
from store.entry import Change, Entry
from store.report import Report

LARGEST_SUM = 2**63 - 1
"""Sums stop here, and at its negative, instead of overflowing 64 bits."""

_Stored = TypeVar("_Stored", Report, ApiKey, SumKey, RewardKey)


def encode(value: Change | Report | ApiKey) -> str:
    """Return the stored form of anything but a document or the key of a sum."""
    return msgspec.json.encode(value).decode()


def encode_sum_key(key: SumKey | RewardKey) -> str:
    """Return the stored form of a key. That of a sum over all units names no group."""
    return msgspec.json.encode(key[:-1] if key.group == ALL_UNITS else key).decode()


def encode_document(document: Document) -> str:
    """Return the stored form of a document."""
    return json.dumps(to_dict(document))


def decode_entry(document: str, change: str) -> Entry:
    """Read a version of a document back.

    Raises:
        Corrupt: the text is not a document or not a change.
    """
    try:
        return Entry(from_dict(json.loads(document)), msgspec.json.decode(change, type=Change))
    except (json.JSONDecodeError, msgspec.DecodeError) as error:
        raise Corrupt(f"A stored document is not JSON: {error}.") from error


def encode_policy(policy: LearnedPolicy) -> str:
    """Return the stored form of a learned policy."""
    return json.dumps(policy_to_dict(policy), separators=(",", ":"))


def decode_policy(text: str) -> LearnedPolicy | None:
    """Read a learned policy back. Return None if it is damaged: the learner then begins anew from the sums."""
    try:
        return policy_from_dict(json.loads(text))
    except (json.JSONDecodeError, Corrupt):
        return None


def decode(text: str, kind: type[_Stored]) -> _Stored | None:
    """Read a value back. Return None if it is damaged, or if another version of this program wrote it differently."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        return None


def encode_integers(integers: Sequence[int]) -> str:
    """Return the stored form of several integers: text with spaces between."""
    return " ".join([str(clamp(each)) for each in integers])


def decode_integers(text: str) -> tuple[int, ...] | None:
    """Read several integers back. Return None if they are damaged."""
    try:
        return tuple([clamp(int(each)) for each in text.split(" ")])
    except ValueError:
        return None


def add_texts(known: str, more: str) -> str:
    """Return the sum of several integers, one by one, as texts. What is damaged, or of another number, stays."""
    first, second = decode_integers(known), decode_integers(more)
    if first is None or second is None or len(first) != len(second):
        return known
    return encode_integers(tuple(map(int.__add__, first, second)))


def clamp(value: int) -> int:
    """Return the value, limited to what a store can hold."""
    return max(-LARGEST_SUM, min(LARGEST_SUM, value))
