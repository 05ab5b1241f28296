"""The stored form of a document: what a store keeps, and what the log shows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from router.document.document import Candidate, Document, Followed, LearningState, QuarantinedVersion, RolloutState
from router.document.phase import Phase
from router.draw.slots import SlotRun, counts
from router.errors import Corrupt, Rejected
from router.spec.parse import parse_spec
from router.spec.unparse import unparse_spec


def to_dict(document: Document) -> dict[str, Any]:
    """Return the stored form of a document."""
    stored: dict[str, Any] = {
        "version": document.version,
        "spec": unparse_spec(document.spec),
        "slots": {arm: [list(run) for run in runs] for arm, runs in document.slots.items()},
        "trial": [document.trial_version, document.trial_s],
        "declared_us": document.declared_us,
    }
    state = document.rollout
    if state is not None:
        stored["rollout"] = {
            "phase": str(state.phase),
            "step": state.step,
            "since_s": state.since_s,
            "since_version": state.since_version,
            "candidate": None if state.candidate is None else [state.candidate.version, state.candidate.digest],
        }
    learning = document.learning
    if learning is not None:
        stored["learning"] = {
            "phase": str(learning.phase),
            "since_s": learning.since_s,
            "since_version": learning.since_version,
            "arms": dict(learning.arms),
            "policy": learning.policy,
        }
    if document.bound:
        stored["bound"] = {name: [each.version, each.digest] for name, each in document.bound.items()}
    if document.followed:
        stored["followed"] = {
            name: [each.before and [each.before.version, each.before.digest], each.held, list(each.moves_s)]
            for name, each in document.followed.items()
        }
    if document.quarantine:
        held = document.quarantine
        stored["quarantine"] = [[each.model, each.version, each.digest, each.at_s, each.why] for each in held]
    return stored


def from_dict(raw: Mapping[str, Any]) -> Document:
    """Read a stored document back.

    Raises:
        Corrupt: if it is not a document, or its parts disagree.
    """
    try:
        trial_version, trial_s = raw.get("trial", (1, 0.0))
        spec, slots = parse_spec(raw["spec"]), slot_table(raw["slots"])
        if spec.learns:  # its declaration has the first weights only
            spec = replace(spec, split={arm: counts(slots)[arm] for arm in spec.arms})
        document = Document(
            version=raw["version"],
            spec=spec,
            slots=slots,
            rollout=None if raw.get("rollout") is None else _state(raw["rollout"]),
            quarantine=tuple(_quarantined_version(each) for each in raw.get("quarantine", ())),
            trial_version=_whole(trial_version),
            trial_s=float(trial_s),
            bound=_bound(raw),
            followed={_text(name): _followed(each) for name, each in raw.get("followed", {}).items()},
            declared_us=_whole(raw.get("declared_us", 0)),
            learning=None if raw.get("learning") is None else _learning(raw["learning"]),
        )
    except (Rejected, KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise Corrupt(f"A stored document cannot be read: {error!r}.") from error
    _check(document)
    return document


def _check(document: Document) -> None:
    spec, state = document.spec, document.rollout
    if type(document.version) is not int or document.version < 1:
        raise Corrupt(f"A stored document of route {spec.route} has version {document.version!r}.")
    if document.slots.keys() != spec.arms.keys():
        raise Corrupt(f"The stored slots of route {spec.route} are not those of its arms.")
    if spec.split is not None and document.weights != dict(spec.split):
        raise Corrupt(f"The stored slots of route {spec.route} disagree with its split.")
    if (spec.rollout is None) != (state is None):
        raise Corrupt(f"The stored document of route {spec.route} has a rollout without its state, or the reverse.")
    if (spec.bandit is None) != (document.learning is None):
        raise Corrupt(f"The stored document of route {spec.route} has a policy without its state, or the reverse.")
    if spec.rollout is not None and state is not None and not 0 <= state.step < len(spec.rollout.steps):
        raise Corrupt(f"The stored rollout of route {spec.route} is at step {state.step}, which it does not have.")


def _state(raw: Mapping[str, Any]) -> RolloutState:
    candidate = raw["candidate"]
    return RolloutState(
        phase=Phase(raw["phase"]),
        step=_whole(raw["step"]),
        since_s=float(raw["since_s"]),
        since_version=_whole(raw["since_version"]),
        candidate=None if candidate is None else Candidate(*map(_text, candidate)),
    )


def _learning(raw: Mapping[str, Any]) -> LearningState:
    return LearningState(
        phase=Phase(raw["phase"]),
        since_s=float(raw["since_s"]),
        since_version=_whole(raw["since_version"]),
        arms={_text(arm): _whole(version) for arm, version in raw["arms"].items()},
        policy=_whole(raw["policy"]),
    )


def _bound(raw: Mapping[str, Any]) -> dict[str, Candidate]:
    """Return the bindings. A rollout from before decision 023 holds what the other arms served when it began."""
    known, refs = raw.get("bound"), raw["spec"]["arms"]
    if known is None:
        others = (raw.get("rollout") or {}).get("others", {})
        known = {arm: each for arm, each in others.items() if "@" in refs[arm]}
    return {_text(name): Candidate(*map(_text, each)) for name, each in known.items()}


def _followed(raw: Any) -> Followed:
    before, held, moves_s = raw
    return Followed(
        None if before is None else Candidate(*map(_text, before)), _text(held), tuple(float(each) for each in moves_s)
    )


def _quarantined_version(raw: Any) -> QuarantinedVersion:
    model, version, digest, at_s, why = raw
    return QuarantinedVersion(
        model=_text(model), version=_text(version), digest=_text(digest), at_s=float(at_s), why=_text(why)
    )


def slot_table(raw: Mapping[str, Any]) -> dict[str, tuple[SlotRun, ...]]:
    """Read a stored slot table back.

    Raises:
        ValueError, TypeError, AttributeError: it is none.
    """
    return {_text(arm): tuple(_run(run) for run in runs) for arm, runs in raw.items()}


def _run(raw: Any) -> SlotRun:
    start, length = raw
    return _whole(start), _whole(length)


def _whole(raw: Any) -> int:
    if type(raw) is not int:
        raise ValueError(f"{raw!r} is not a whole number")
    return raw


def _text(raw: Any) -> str:
    if type(raw) is not str:
        raise ValueError(f"{raw!r} is not a text")
    return raw
