"""The document of a route: what was declared, and the state that commands change.

To the declared spec, `Document` adds the slot table, the state of the rollout, the bindings of aliases, the quarantine,
and a version number without gaps. The slot table is state because it depends on the history of weights. `to_dict` and
`from_dict` convert a document to and from its stored form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from router.document.phase import Phase
from router.draw.slots import SlotRun, SlotTable, counts
from router.errors import Corrupt, Rejected
from router.spec.parse import parse_spec
from router.spec.spec import GuardrailKind, RouteSpec, ShadowSpec
from router.spec.unparse import unparse_spec


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version to which an arm or a shadow is bound, and its digest."""

    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class RolloutState:
    """The state of a rollout.

    `step` is the index of the current step, or of the last one. `since_s` is when that step began, in seconds since the
    epoch, and `since_version` is the document's version then. `candidate` is the version that is rolled out, whatever
    version its alias names by now. It is None while no rollout has begun.
    """

    phase: Phase = Phase.READY
    step: int = 0
    since_s: float = 0.0
    since_version: int = 1
    candidate: Candidate | None = None


@dataclass(frozen=True, slots=True)
class Followed:
    """The history of one binding, as far as `router.document.follow` needs it.

    `before` is the version to which the name was bound before. `held` is the digest to which the alias must not lead,
    because an operator went back from it, or empty. `moves_s` is when the alias was followed, the last few times, in
    seconds since the epoch.
    """

    before: Candidate | None = None
    held: str = ""
    moves_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class QuarantinedVersion:
    """A version that was taken out of traffic at `at_s` (seconds since the epoch). No arm may give it any weight."""

    model: str
    version: str
    digest: str
    at_s: float
    why: str

    @property
    def because(self) -> str:
        """The reason, as the end of a sentence."""
        return f"{self.why.rstrip('. ')}."

    @property
    def name(self) -> str:
        """The version's full name, such as `fraud:18`."""
        return f"{self.model}:{self.version}"

    def way_back(self, route: str) -> str:
        """Return the reason, and the command that ends the quarantine."""
        return f"{self.because} `pointsman release {route} {self.name}` lets it back."


@dataclass(frozen=True, slots=True)
class Document:
    """The versioned state of one route. Versions start at 1 and have no gaps.

    Guardrails look at requests since `trial_version`, which was written at `trial_s` (seconds since the epoch). `bound`
    has the version of each arm, and of each shadow of its own, whose reference names an alias. `declared_us` is when
    the route was first declared (since the epoch): its life. After its store was lost it is at version 1 again.
    """

    version: int
    spec: RouteSpec
    slots: SlotTable
    rollout: RolloutState | None = None
    quarantine: tuple[QuarantinedVersion, ...] = ()
    trial_version: int = 1
    trial_s: float = 0.0
    bound: Mapping[str, Candidate] = field(default_factory=dict)
    followed: Mapping[str, Followed] = field(default_factory=dict)
    declared_us: int = 0

    @property
    def active_shadows(self) -> tuple[ShadowSpec, ...]:
        """The declared shadows and, until a rollout is over, the shadow that a guardrail of disagreement needs.

        That shadow is the trusted arm. It also gets the requests that the guarded arms answer.
        """
        spec, state = self.spec, self.rollout
        if state is not None and state.phase in (Phase.PROMOTED, Phase.ABORTED):
            return spec.shadows
        declared = {shadow.arm for shadow in spec.shadows}
        return spec.shadows + tuple(
            ShadowSpec(
                sample_slots=each.sample_slots,
                arm=spec.trusted_arm,
                against=spec.guarded_arms,
                tolerance=each.tolerance,
            )
            for each in spec.guardrails
            if each.kind is GuardrailKind.DISAGREEMENT and spec.trusted_arm not in declared
        )

    @property
    def weights(self) -> dict[str, int]:
        """The slots of each arm, in the order of the arms."""
        owned = counts(self.slots)
        return {arm: owned[arm] for arm in self.spec.arms}


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
        document = Document(
            version=raw["version"],
            spec=parse_spec(raw["spec"]),
            slots={arm: tuple(_run(run) for run in runs) for arm, runs in raw["slots"].items()},
            rollout=None if raw.get("rollout") is None else _state(raw["rollout"]),
            quarantine=tuple(_quarantined_version(each) for each in raw.get("quarantine", ())),
            trial_version=_whole(trial_version),
            trial_s=float(trial_s),
            bound=_bound(raw),
            followed={_text(name): _followed(each) for name, each in raw.get("followed", {}).items()},
            declared_us=_whole(raw.get("declared_us", 0)),
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
