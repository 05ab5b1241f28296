"""The quarantine of a route: versions that were taken out of traffic, until an operator releases them by name."""

from collections.abc import Mapping
from dataclasses import replace

from router.document.document import Candidate, Document, QuarantinedVersion
from router.errors import Rejected
from router.refusals import short_repr
from router.spec.spec import ShadowSpec


def find_quarantined(document: Document, model: str, digest: str) -> QuarantinedVersion | None:
    """Return a version's entry in the quarantine of this route, or None. Versions of the same content are the same."""
    for each in document.quarantine:
        if (each.model, each.digest) == (model, digest):
            return each
    return None


def is_held(document: Document, shadow: ShadowSpec, digest: str) -> bool:
    """Return True if the version of a shadow is in quarantine on this route. Such a shadow gets no request."""
    ref = shadow.ref if shadow.arm is None else document.spec.arms[shadow.arm]
    return ref is not None and find_quarantined(document, ref.model, digest) is not None


def add_to_quarantine(document: Document, *, model: str, candidate: Candidate, at_s: float, why: str) -> Document:
    """Return the document with one more version in quarantine."""
    if find_quarantined(document, model, candidate.digest) is not None:
        return document
    added = QuarantinedVersion(model=model, version=candidate.version, digest=candidate.digest, at_s=at_s, why=why)
    return replace(document, quarantine=(*document.quarantine, added))


def release(document: Document, name: str) -> Document:
    """Return the document without a version in quarantine. `name` is `fraud:18`, or `18` if only one model has it.

    Raises:
        Rejected: if the version is not in quarantine, or versions of several models are.
    """
    route, named = document.spec.route, [each for each in document.quarantine if name in (each.name, each.version)]
    if not named:
        there = ", ".join(each.name for each in document.quarantine) or "none"
        raise Rejected(f"Version {short_repr(name)} is not in quarantine on route {route}; there: {there}.")
    names = list(dict.fromkeys(each.name for each in named))
    if len(names) > 1:
        commands = " or ".join(f"`pointsman release {route} {each}`" for each in names)
        raise Rejected(f"Version {name} is in quarantine of several models; say which: {commands}.")
    return replace(document, quarantine=tuple(each for each in document.quarantine if each not in named))


def refuse_quarantined(document: Document, bound: Mapping[str, Candidate]) -> None:
    """Reject a document in which an arm gives traffic to a version in quarantine.

    `bound` holds the version to which each arm is bound.

    Raises:
        Rejected: if an arm does.
    """
    spec = document.spec
    for arm, slots in document.weights.items():
        is_serving = slots > 0 or (spec.is_exclusive and arm == spec.trusted_arm)
        held = find_quarantined(document, spec.arms[arm].model, bound[arm].digest) if is_serving else None
        if held is not None:
            raise Rejected(f"Arm {arm} would serve {held.name}, which is in quarantine: {held.way_back(spec.route)}")
