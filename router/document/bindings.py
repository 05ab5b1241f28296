"""The versions to which the arms and shadows of a document are bound, and how commands change that.

Only names whose reference names an alias have a binding. `router.document.follow` says when an alias moves one.
"""

from collections.abc import Mapping
from dataclasses import replace

from router.document.document import Candidate, Document, Followed
from router.document.phase import PINNED, UNDER_WAY
from router.document.quarantine import find_quarantined
from router.errors import Rejected
from router.spec.spec import RouteSpec

MOVES_KEPT = 6
"""More would not make an alias wait longer (`router.document.follow`)."""

Bindings = tuple[Mapping[str, Candidate], Mapping[str, Followed]]


def binding_of(document: Document, name: str) -> Candidate | None:
    """Return the version to which an arm or shadow is bound by the document. None if only the registry knows it.

    The arm that is rolled out serves the version with which the rollout began.
    """
    rollout, state = document.spec.rollout, document.rollout
    if rollout is not None and state is not None and name == rollout.of and state.phase in PINNED:
        return state.candidate
    return document.bound.get(name)


def is_bound_to(document: Document, arm: str, model: str, candidate: Candidate) -> bool:
    """Return True if an arm serves this version of the model, as far as the document says."""
    ref, bound = document.spec.arms[arm], binding_of(document, arm)
    if ref.model != model:
        return False
    return ref.version == candidate.version if bound is None else bound.digest == candidate.digest


def rebound(document: Document, moved: Mapping[str, Candidate], followed_s: float | None = None) -> Document:
    """Return the document with these bindings. `followed_s` is when an alias was followed; None for a command."""
    followed = dict(document.followed)
    for name, candidate in moved.items():
        was, known = document.bound.get(name), followed.get(name, Followed())
        is_move = followed_s is not None and was is not None
        followed[name] = Followed(
            before=was if was is not None and was.digest != candidate.digest else known.before,
            moves_s=(*known.moves_s, followed_s or 0.0)[-MOVES_KEPT:] if is_move else known.moves_s,
        )
    return replace(document, bound={**document.bound, **moved}, followed=_without_empty(followed))


def bind_names(document: Document, moved: Mapping[str, Candidate], at_s: float) -> Document:
    """Bind names to what their aliases name now. Evidence about other versions of an arm does not count any more.

    Raises:
        Rejected: if a name follows no alias, is on trial, or would be bound to a version in quarantine.
    """
    spec, state = document.spec, document.rollout
    for name, candidate in moved.items():
        if name not in spec.aliases:
            raise Rejected(f"Route {spec.route} has no arm or shadow {name} that follows an alias.")
        is_pinned = spec.rollout is not None and state is not None and name == spec.rollout.of and state.phase in PINNED
        if is_pinned and binding_of(document, name) != candidate:
            raise Rejected(f"Arm {name} is bound to the version that is rolled out.")
        held = find_quarantined(document, spec.aliases[name].model, candidate.digest)
        if held is not None:
            raise Rejected(f"{held.name} is in quarantine: {held.way_back(spec.route)}")
    changed = rebound(document, moved, at_s)
    is_under_way = state is not None and state.phase in UNDER_WAY
    is_new = any(name in spec.arms and document.bound.get(name) != each for name, each in moved.items())
    if is_under_way or not is_new:
        return changed
    return replace(changed, trial_version=document.version + 1, trial_s=at_s)


def declared_bindings(document: Document | None, spec: RouteSpec, named: Mapping[str, Candidate]) -> Bindings:
    """Return the bindings under a declaration. A reference that was there keeps its own; `named` is for the others."""
    kept = set() if document is None else kept_names(document, spec)
    known = {} if document is None else document.bound
    found = {**named, **{name: known[name] for name in kept}}
    bound = {name: found[name] for name in spec.aliases if name in found}
    followed = {} if document is None else {name: each for name, each in document.followed.items() if name in kept}
    return bound, followed


def kept_names(document: Document, spec: RouteSpec) -> set[str]:
    """Return the names that are bound, and whose reference is the same in another declaration."""
    known = document.spec.aliases
    return {name for name, ref in spec.aliases.items() if known.get(name) == ref and name in document.bound}


def undone_bindings(document: Document, then: Document, named: Mapping[str, Candidate]) -> Bindings:
    """Return the bindings of the version `then`. What an alias names now (`named`) is held, if it differs from them."""
    kept = kept_names(document, then.spec)
    bound, followed = dict[str, Candidate](), dict[str, Followed]()
    for name in then.spec.aliases:
        left = document.bound[name] if name in kept else None
        back = then.bound.get(name, left)
        if back is None:
            continue
        now, known = named.get(name, left), document.followed.get(name, Followed()) if name in kept else Followed()
        bound[name] = back
        followed[name] = replace(
            known,
            before=then.followed.get(name, Followed()).before,
            held=now.digest if now is not None and now.digest != back.digest else "",
        )
    return bound, _without_empty(followed)


def away_from_quarantine(document: Document, aborted: str, at_s: float) -> Document:
    """Return the document in which no other arm is bound to a version in quarantine, if it has an earlier version.

    Evidence about the versions that these arms leave does not count any more.
    """
    moved = {}
    for arm, ref in document.spec.arms.items():
        bound, before = document.bound.get(arm), document.followed.get(arm, Followed()).before
        if arm == aborted or bound is None or before is None:
            continue
        digests = (bound.digest, before.digest)
        is_held, is_held_before = (find_quarantined(document, ref.model, each) is not None for each in digests)
        if is_held and not is_held_before:
            moved[arm] = before
    if not moved:
        return document
    return replace(rebound(document, moved), trial_version=document.version + 1, trial_s=at_s)


def hold_digests(document: Document, digests: Mapping[str, str]) -> Document:
    """Return the document in which these names do not follow their alias to these digests."""
    held = {name: replace(document.followed.get(name, Followed()), held=digest) for name, digest in digests.items()}
    return replace(document, followed={**document.followed, **held})


def _without_empty(followed: Mapping[str, Followed]) -> dict[str, Followed]:
    return {name: each for name, each in followed.items() if each != Followed()}
