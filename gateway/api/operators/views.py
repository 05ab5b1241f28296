"""Documents and changes as operators are shown them. Decides."""

from fractions import Fraction
from typing import Any

from gateway.api.operators.responses import AuditEntry, Changed, Described, Held, Standing
from router.document.document import Document
from router.document.phase import Phase
from router.draw.assignment import BUCKETS
from router.quantities import format_percent
from router.spec.unparse import unparse_spec
from store.interface import Entry, NumberedEntry


def etag(document: Document) -> str:
    """The document's version, as HTTP has it."""
    return f'"{document.version}"'


def described(document: Document) -> Described:
    """A document."""
    return Described(**_parts(document))


def changed(entry: Entry) -> Changed:
    """A document, and how it came to be."""
    change = entry.change
    return Changed(**_parts(entry.document), who=change.who, at_s=change.at_s, what=change.what, why=change.why)


def audited(numbered: NumberedEntry) -> AuditEntry:
    """One of all changes."""
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
        phase=None if document.rollout is None else document.rollout.phase,
        weights=shares(document),
    )


def standing(document: Document) -> Standing | None:
    """Where the rollout stands; None if the route has none."""
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


def shares(document: Document) -> dict[str, str]:
    """The weight of each arm, as operators write it."""
    return {arm: format_percent(Fraction(slots, BUCKETS)) for arm, slots in document.weights.items()}


def _parts(document: Document) -> dict[str, Any]:
    return {
        "route": document.spec.route,
        "version": document.version,
        "spec": unparse_spec(document.spec),
        "weights": shares(document),
        "rollout": standing(document),
        "quarantine": [
            Held(model=each.model, version=each.version, digest=each.digest, at_s=each.at_s, why=each.why)
            for each in document.quarantine
        ],
    }
