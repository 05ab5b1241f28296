"""Versions that were taken out of traffic stay out until somebody releases them by name. Decides."""

from collections.abc import Mapping
from dataclasses import replace

from router.document.document import Candidate, Document, Quarantined
from router.errors import Rejected


def find(document: Document, model: str, digest: str) -> Quarantined | None:
    """Why a version is in quarantine on this route; None if it is not. What counts is its content."""
    for each in document.quarantine:
        if (each.model, each.digest) == (model, digest):
            return each
    return None


def quarantined(document: Document, model: str, candidate: Candidate, at_s: float, why: str) -> Document:
    """The document with one more version in quarantine."""
    if find(document, model, candidate.digest) is not None:
        return document
    added = Quarantined(model, candidate.version, candidate.digest, at_s, why)
    return replace(document, quarantine=(*document.quarantine, added))


def released(document: Document, version: str) -> Document:
    """The document without a version in quarantine.

    Raises:
        Rejected: it is not there.
    """
    kept = tuple(each for each in document.quarantine if each.version != version)
    if len(kept) == len(document.quarantine):
        there = ", ".join(each.version for each in document.quarantine) or "none"
        raise Rejected(f"Version {version} is not in quarantine on route {document.spec.route}; there: {there}.")
    return replace(document, quarantine=kept)


def refuse_quarantined(document: Document, bound: Mapping[str, Candidate]) -> None:
    """Makes sure that no arm gives a version in quarantine any traffic. `bound` says what each arm is bound to.

    Raises:
        Rejected: one does.
    """
    spec = document.spec
    for arm, slots in document.weights.items():
        is_serving = slots > 0 or (spec.is_exclusive and arm == spec.otherwise)
        held = find(document, spec.arms[arm].model, bound[arm].digest) if is_serving else None
        if held is not None:
            raise Rejected(
                f"Arm {arm} would serve {held.model}:{held.version}, which is in quarantine: {held.because} "
                f"`pointsman release {spec.route} {held.version}` lets it back."
            )
