"""The quarantine of a route: versions that were taken out of traffic, until an operator releases them by name."""

from collections.abc import Mapping
from dataclasses import replace

from router.document.document import Candidate, Document, QuarantinedVersion
from router.errors import Rejected


def find_quarantined(document: Document, model: str, digest: str) -> QuarantinedVersion | None:
    """Return a version's entry in the quarantine of this route, or None. Versions of the same content are the same."""
    for each in document.quarantine:
        if (each.model, each.digest) == (model, digest):
            return each
    return None


def add_to_quarantine(document: Document, *, model: str, candidate: Candidate, at_s: float, why: str) -> Document:
    """Return the document with one more version in quarantine."""
    if find_quarantined(document, model, candidate.digest) is not None:
        return document
    added = QuarantinedVersion(model=model, version=candidate.version, digest=candidate.digest, at_s=at_s, why=why)
    return replace(document, quarantine=(*document.quarantine, added))


def release(document: Document, version: str) -> Document:
    """Return the document without a version in quarantine.

    Raises:
        Rejected: if the version is not in quarantine.
    """
    kept = tuple(each for each in document.quarantine if each.version != version)
    if len(kept) == len(document.quarantine):
        there = ", ".join(each.version for each in document.quarantine) or "none"
        raise Rejected(f"Version {version} is not in quarantine on route {document.spec.route}; there: {there}.")
    return replace(document, quarantine=kept)


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
            raise Rejected(
                f"Arm {arm} would serve {held.model}:{held.version}, which is in quarantine: {held.because} "
                f"`pointsman release {spec.route} {held.version}` lets it back."
            )
