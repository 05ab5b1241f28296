"""The document of a route: what was declared, and the state that commands change.

To the declared spec, `Document` adds the slot table, the state of the rollout, the bindings of aliases, the quarantine,
and a version number without gaps. The slot table is state because it depends on the history of weights.
`router.document.stored` converts a document to and from its stored form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from router.document.phase import Phase
from router.draw.slots import SlotTable, counts
from router.spec.spec import GuardrailKind, RouteSpec, ShadowSpec


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
class LearningState:
    """The state of a bandit, or of a policy that observes.

    `phase` is one of a rollout's (`router.document.phase`); PROGRESSING means that it learns. Commands gave the arms
    their weights last at the document's version `since_version`, at `since_s` seconds since the epoch. `policy` is the
    number of the learned policy whose weights the document has since then, or 0. `arms` has, for each arm, the version
    from which on its decisions count; evidence from before was forgotten.
    """

    phase: Phase
    since_s: float
    since_version: int
    arms: Mapping[str, int]
    policy: int = 0


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
    `learning` is there if the route has a policy that learns. `models` is what a contextual policy that is in force
    decides by. It is not stored with the document (`router.document.learned`).
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
    learning: LearningState | None = None
    models: Mapping[str, Any] | None = None

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
    def policy_number(self) -> int:
        """The number of the learned policy whose weights these are, or 0."""
        return 0 if self.learning is None else self.learning.policy

    @property
    def phase(self) -> Phase | None:
        """Where the rollout or the bandit stands. None for a split."""
        if self.rollout is not None:
            return self.rollout.phase
        return self.learning.phase if self.learning is not None and self.spec.learns else None

    @property
    def weights(self) -> dict[str, int]:
        """The slots of each arm, in the order of the arms."""
        owned = counts(self.slots)
        return {arm: owned[arm] for arm in self.spec.arms}
