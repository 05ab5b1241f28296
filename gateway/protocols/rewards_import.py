"""Imported rewards: the bodies of `POST /api/routes/{route}/rewards`, which say of each decision what the log says.

{"source": "import orders.csv", "rewards": [{"decision": {"decision_id": "…", …}, "metric": "click", "value": 1}]}
"""

import json
from typing import Annotated, Any, NamedTuple

import msgspec

from bandits.linear.context import MOST_FEATURES
from gateway.errors import BadRequest
from gateway.protocols.rewards import SentReward, Unreadable, printable, read_reward, require_list
from router.spec.parse import MAX_ARMS

_MOST_SOURCE = 256
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Whole = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Id = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,128}$")]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class LoggedDecision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the log says of a decision. `propensity` is None if the arm was not drawn; `group` is -1 without a unit.

    `context` has the features that a contextual bandit saw, as shares of 1, and `weights` those of the arms.
    """

    decision_id: _Id
    policy_version: _Whole
    arm: _Name
    propensity: Annotated[float, msgspec.Meta(ge=0, le=1)] | None
    decided_us: _Whole
    latency_us: _Whole
    group: Annotated[int, msgspec.Meta(ge=-1, le=63)]
    context: Annotated[tuple[_Share, ...], msgspec.Meta(max_length=MOST_FEATURES - 1)] = ()
    weights: Annotated[dict[_Name, _Share], msgspec.Meta(max_length=MAX_ARMS)] = msgspec.field(default_factory=dict)


class ImportedReward(NamedTuple):
    """A reward, and the decision of which it is. `sent.decision` is empty."""

    decision: LoggedDecision
    sent: SentReward


class Import(NamedTuple):
    """Rewards, and where they come from."""

    source: str
    rewards: list[ImportedReward | Unreadable]


def read_import(body: bytes) -> Import:
    """Read the rewards of a body, in order.

    Raises:
        BadRequest: the body is no list of 1 to 1,000 rewards with a source.
    """
    try:
        raw = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise BadRequest("The body cannot be read as JSON.") from error
    source = raw.pop("source", None) if isinstance(raw, dict) else None
    if not isinstance(source, str) or not 0 < len(source) <= _MOST_SOURCE:
        raise BadRequest(f"Send a source of 1 to {_MOST_SOURCE} characters, such as import orders.csv.")
    shown = "".join(each if each.isprintable() else "?" for each in source)
    return Import(shown, [_read(each) for each in require_list(raw)])


def _read(raw: Any) -> ImportedReward | Unreadable:
    if not isinstance(raw, dict):
        return Unreadable("This is no reward: it is no object.")
    try:
        decision = msgspec.convert(raw.get("decision"), LoggedDecision)
    except msgspec.ValidationError as error:
        return Unreadable(printable(f"This is no decision of the log: {error}."))
    sent = read_reward({**raw, "decision": ""})
    return sent if isinstance(sent, Unreadable) else ImportedReward(decision, sent)
