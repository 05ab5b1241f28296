"""What applying a file does to a route's traffic: moves that the file's text does not show."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from gateway.cli.output import format_by_arm
from router.document.apply import apply
from router.document.commands import Declare
from router.document.document import Candidate, Document, QuarantinedVersion, RolloutState
from router.document.phase import Phase
from router.draw.assignment import BUCKETS
from router.draw.slots import allocate
from router.errors import Rejected
from router.quantities import format_percent, parse_share
from router.spec.parse import parse_spec
from router.spec.spec import RouteSpec


def expected_notes(spec: RouteSpec, stored: Mapping[str, Any]) -> list[str]:
    """Return sentences on what `apply` would do to the traffic of a stored route, or why it would be refused.

    The registry is not asked: of a reference that is new and names an alias, it is not known whether its version is in
    quarantine.
    """
    document = _document(stored)
    held = {(each.model, each.version): Candidate(each.version, each.digest) for each in document.quarantine}
    bound = {
        arm: held[ref.model, ref.version]
        for arm, ref in spec.arms.items()
        if ref.version is not None and (ref.model, ref.version) in held
    }
    try:
        after = apply(document, Declare(spec, 0.0, bound))
    except Rejected as error:
        return [f"{spec.route}: `apply` would refuse this: {error}"]
    return _notes(spec, document, after.weights)


def made_notes(spec: RouteSpec, stored: Mapping[str, Any], made: Mapping[str, Any]) -> list[str]:
    """Return sentences on what `apply` has done to the traffic of a route that was stored before."""
    return _notes(spec, _document(stored), _slots(made["weights"]))


def _notes(spec: RouteSpec, before: Document, after: Mapping[str, int]) -> list[str]:
    notes = []
    for arm, slots in (spec.split or {}).items():
        ref = spec.arms[arm]
        held = [each for each in before.quarantine if each.model == ref.model and ref.version in (None, each.version)]
        if slots and not after[arm] and held:
            notes.append(
                f"{spec.route}: arm {arm} keeps no traffic, because {held[0].name} is in quarantine: "
                f"{held[0].way_back(spec.route)}"
            )
    if spec.rollout is not None and before.weights != after:
        notes.append(f"{spec.route}: its traffic moves from {_text(before.weights)} to {_text(after)}.")
    return notes


def _document(stored: Mapping[str, Any]) -> Document:
    """Return a document like the one that the gateway has, as far as its response tells."""
    spec, standing = parse_spec(stored["spec"]), stored["rollout"]
    bound = {name: Candidate(**each) for name, each in stored.get("bound", {}).items()}
    state = None
    if standing is not None and spec.rollout is not None:
        version = (standing["candidate"] or "").rpartition(":")[2]
        own = bound.get(spec.rollout.of)
        candidate = own if own is not None and own.version == version else Candidate(version, "")
        state = RolloutState(
            Phase(standing["phase"]), max(0, standing["step"] - 1), candidate=candidate if version else None
        )
        if not candidate.digest:  # nothing can be compared with it
            bound = {}
    return Document(
        version=stored["version"],
        spec=spec,
        bound=bound,
        slots=allocate(_slots(stored["weights"])),
        rollout=state,
        quarantine=tuple(QuarantinedVersion(**held) for held in stored["quarantine"]),
    )


def _slots(weights: Mapping[str, str]) -> dict[str, int]:
    return {arm: int(parse_share(share, f"The weight of arm {arm}") * BUCKETS) for arm, share in weights.items()}


def _text(slots: Mapping[str, int]) -> str:
    return format_by_arm({arm: format_percent(Fraction(each, BUCKETS)) for arm, each in slots.items()})
