"""What a bandit has learned, and its weights in a document.

A bandit moves its weights about once a second. Each of its *policies* is kept beside the document, numbered within the
life of the route, so that the document's history has what people and controllers did and nothing else. What serves and
judges a route is the document with the slots of the newest policy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from router.document.document import Document
from router.document.stored import slot_table
from router.draw.slots import SlotTable, counts
from router.errors import Corrupt


@dataclass(frozen=True, slots=True)
class LearnedPolicy:
    """One policy that a bandit has learned.

    `declared_us` names the life of the route, and `number` counts its policies from 1. `since_version` is that of the
    state from which it was learned (`LearningState`). `slots` are its weights. `content` is what the next policy is
    learned from and, of a contextual policy, what decides: JSON that only the learner and the policy read. `at_us` is
    when it was made, in microseconds since the epoch.
    """

    route: str
    declared_us: int
    number: int
    since_version: int
    slots: SlotTable
    at_us: int
    content: Mapping[str, Any] = field(default_factory=dict)


def policy_to_dict(policy: LearnedPolicy) -> dict[str, Any]:
    """Return the stored form of a learned policy."""
    return {
        "route": policy.route,
        "declared_us": policy.declared_us,
        "number": policy.number,
        "since_version": policy.since_version,
        "slots": {arm: [list(run) for run in runs] for arm, runs in policy.slots.items()},
        "at_us": policy.at_us,
        "content": dict(policy.content),
    }


def policy_from_dict(raw: Mapping[str, Any]) -> LearnedPolicy:
    """Read a stored learned policy back.

    Raises:
        Corrupt: if it is none.
    """
    try:
        return LearnedPolicy(
            route=str(raw["route"]),
            declared_us=int(raw["declared_us"]),
            number=int(raw["number"]),
            since_version=int(raw["since_version"]),
            slots=slot_table(raw["slots"]),
            at_us=int(raw["at_us"]),
            content=dict(raw["content"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Corrupt(f"A learned policy cannot be read: {error!r}.") from error


def with_learned(document: Document, learned: LearnedPolicy | None) -> Document:
    """Return the document with the weights of a learned policy, if that policy is in force in this document.

    It is not if it belongs to an earlier life of the route, or was learned before a command gave the arms other
    weights.
    """
    state = document.learning
    if state is None or learned is None or learned.declared_us != document.declared_us:
        return document
    if learned.since_version != state.since_version or learned.number <= state.policy:
        return document
    state = replace(state, policy=learned.number)
    if not document.spec.learns or learned.slots.keys() != document.spec.arms.keys():
        return replace(document, learning=state)
    spec = replace(document.spec, split=counts(learned.slots))
    models = learned.content if learned.content.get("models") else None
    return replace(document, spec=spec, slots=learned.slots, learning=state, models=models)
