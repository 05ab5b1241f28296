"""Rewards as JSON: the bodies of `POST /v2/rewards`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.errors import BadRequest
from gateway.protocols.rewards import RewardResult, SentReward, Unreadable, printable, read_reward, require_list


@dataclass(frozen=True, slots=True)
class _Repeated:
    """An object that has a key twice. Most parsers would keep one of its values, and no one could say which."""

    key: str


class _Result(msgspec.Struct, omit_defaults=True):
    result: str
    error: str = ""


class _Results(msgspec.Struct):
    results: list[_Result]


def read_json(body: bytes) -> list[SentReward | Unreadable]:
    """Read the rewards of a body, in order.

    Python's parser is used because it tells of keys that come twice, and takes NaN and Infinity, which some clients
    write: so one such value does not cost the rewards beside it.

    Raises:
        BadRequest: the body is no list of 1 to 1,000 rewards.
    """
    try:
        raw = json.loads(body.decode(), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The body cannot be read as JSON.") from error
    return [_read(each) for each in require_list(raw)]


def write_json(results: Sequence[RewardResult]) -> bytes:
    """Return the body of a response."""
    return _encode(_Results([_Result(*each) for each in results]))


_encode = msgspec.json.Encoder().encode


def _read(raw: object) -> SentReward | Unreadable:
    if isinstance(raw, _Repeated):
        return Unreadable(printable(f"This is no reward: it has the key {raw.key!r} twice."))
    return read_reward(raw)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Repeated:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    keys = [key for key, _ in pairs]
    return _Repeated(next(key for key in keys if keys.count(key) > 1))
