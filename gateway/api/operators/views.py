"""Turns documents and changes into the responses that operators get."""

from fractions import Fraction
from typing import Any

from gateway.api.operators.responses import AuditEntry, Bound, Changed, Described, Held, Learning, Standing
from router.document.document import Document
from router.document.phase import Phase
from router.draw.assignment import BUCKETS
from router.quantities import format_percent
from router.spec.unparse import unparse_spec
from store.entry import Entry, NumberedEntry


def document_view(document: Document) -> Described:
    """Return the response for a document."""
    return Described(**_fields(document))


def change_view(entry: Entry) -> Changed:
    """Return the response for a document and the change that made it."""
    change = entry.change
    return Changed(
        **_fields(entry.document),
        who=change.who,
        at_s=change.at_s,
        what=change.what,
        why=change.why,
        change_id=change.id,
    )


def audit_view(numbered: NumberedEntry) -> AuditEntry:
    """Return the response for one entry in the list of all changes."""
    document, change = numbered.entry.document, numbered.entry.change
    return AuditEntry(
        number=numbered.number,
        route=document.spec.route,
        version=document.version,
        who=change.who,
        at_s=change.at_s,
        what=change.what,
        why=change.why,
        by=change.by,
        phase=document.phase,
        weights=_weights(document),
    )


def bandit_view(document: Document) -> Learning | None:
    """Return the state of the route's bandit or observing policy, or None if it has none."""
    bandit, state = document.spec.bandit, document.learning
    if bandit is None or state is None:
        return None
    return Learning(
        phase=state.phase,
        policy=bandit.policy,
        reward=bandit.reward,
        number=state.policy,
        acts=bandit.acts,
        since_s=state.since_s,
    )


def rollout_view(document: Document) -> Standing | None:
    """Return the state of the route's rollout, or None if it has none."""
    rollout, state = document.spec.rollout, document.rollout
    if rollout is None or state is None:
        return None
    has_begun = state.phase is not Phase.READY
    return Standing(
        phase=state.phase,
        step=state.step + 1 if has_begun else 0,
        of_steps=len(rollout.steps),
        since_s=state.since_s if has_begun else None,
        candidate=None
        if state.candidate is None
        else f"{document.spec.arms[rollout.of].model}:{state.candidate.version}",
    )


def _weights(document: Document) -> dict[str, str]:
    return {arm: format_percent(Fraction(slots, BUCKETS)) for arm, slots in document.weights.items()}


def _fields(document: Document) -> dict[str, Any]:
    return {
        "route": document.spec.route,
        "version": document.version,
        "spec": unparse_spec(document.spec),
        "weights": _weights(document),
        "rollout": rollout_view(document),
        "bandit": bandit_view(document),
        "quarantine": [
            Held(model=each.model, version=each.version, digest=each.digest, at_s=each.at_s, why=each.why)
            for each in document.quarantine
        ],
        "bound": {name: Bound(version=each.version, digest=each.digest) for name, each in document.bound.items()},
    }
