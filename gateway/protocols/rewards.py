"""A reward as a client sends it, and what became of it, in any protocol.

One reward that cannot be read is refused with a sentence. The others of its request still count.
"""

import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from gateway.errors import BadRequest
from router.rewards.events import Operation

MAX_REWARDS = 1000
"""The most rewards of one request."""
_MOST_CHARACTERS = 300
_SENTENCE = f'Send {{"rewards": [...]}} with 1 to {MAX_REWARDS:,} rewards.'

RewardProtocol = Literal["http", "grpc", "import"]
SendRewards = Callable[[RewardProtocol, bytes, Collection[str] | None], Awaitable[bytes]]
"""Returns the response to a body, both in the form of the protocol. The collection has the routes that may be rewarded;
None stands for all. It raises `BadRequest` or `RewardsNotCounted`."""

_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class SentReward(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reward. Whether `value` and `label` may be what they are depends on the metric, which `decision` leads to.

    Without an `event` the decision has one event of the metric. Without a `time` it happened when it arrived.
    """

    decision: str
    metric: str
    value: Any = msgspec.UNSET
    label: Any = msgspec.UNSET
    event: str = ""
    op: Operation = Operation.ADD
    time: _Time | msgspec.UnsetType = msgspec.UNSET


class Unreadable(NamedTuple):
    """Something that is no reward, in the place of one. The sentence says why."""

    sentence: str


class RewardResult(NamedTuple):
    """What became of a reward: `counted`, `duplicate`, `late`, or `refused` with a sentence."""

    result: str
    error: str = ""


def read_reward(raw: object) -> SentReward | Unreadable:
    """Read one reward from the values of a protocol. Nothing is converted: a text is no number."""
    try:
        return msgspec.convert(raw, SentReward)
    except msgspec.ValidationError as error:
        return Unreadable(printable(f"This is no reward: {error}."))
    except UnicodeError:
        return Unreadable("This is no reward: it has half of a surrogate pair, which is no character.")


def require_count(count: int) -> None:
    """Reject a request with no reward, or with too many.

    Raises:
        BadRequest: if it is one.
    """
    if not 1 <= count <= MAX_REWARDS:
        raise BadRequest(f"{_SENTENCE} This has {count}.")


def require_list(raw: object) -> list[Any]:
    """Return the rewards of a body.

    Raises:
        BadRequest: the body has another form.
    """
    if not isinstance(raw, Mapping) or raw.keys() != {"rewards"} or not isinstance(raw["rewards"], list):
        raise BadRequest(_SENTENCE)
    require_count(len(raw["rewards"]))
    return raw["rewards"]


def printable(sentence: str) -> str:
    """Return a sentence that quotes what a client sent, shortened, in a form that every protocol can carry."""
    short = sentence if len(sentence) <= _MOST_CHARACTERS else f"{sentence[:_MOST_CHARACTERS]}…"
    return short.encode("utf-8", "replace").decode()


def is_number(value: object) -> bool:
    """Return True for a finite number. What Python takes for a number as well, such as True, is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floating-point numbers
        return False
