"""What an operator declares of a route, checked: the nouns. Decides nothing; `router.spec.parse` makes them.

Shares of traffic are whole slots of 1/10,000. Arms keep the order in which they were declared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from router.draw.layers import Holdout, Layer

DEFAULT_ALPHA = Fraction(1, 100)


@dataclass(frozen=True, slots=True)
class ArmRef:
    """What an arm is bound to: `model@alias` follows the registry's alias, `model:version` never moves."""

    model: str
    alias: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.model}@{self.alias}" if self.alias is not None else f"{self.model}:{self.version}"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a rollout: the candidate's weight, and what must have come to pass before the next.

    `every_s` has to go by, `samples` drawn requests have to be counted for the candidate; then, if `approve`, an
    operator has to resume.
    """

    slots: int
    every_s: float = 0.0
    samples: int = 1
    approve: bool = False


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """A rollout of the arm `of`. The arms of `base` share what is left, in these proportions, which sum to 1."""

    of: str
    base: Mapping[str, Fraction]
    steps: tuple[Step, ...]


class GuardrailKind(StrEnum):
    """What a guardrail watches."""

    ERRORS = "errors"  # requests that the arm did not answer
    SLOWER_THAN = "slower_than"  # requests that took longer than a threshold
    MISSING_OUTPUTS = "missing_outputs"  # answers with a value missing
    DISAGREEMENT = "disagreement"  # answers that differ from the stable arm's to the same request


@dataclass(frozen=True, slots=True)
class Guardrail:
    """What is not allowed to get worse. `margin` is by how much a rate may exceed that of the other arms.

    For a disagreement, which has no other arms, it is the rate that is allowed; `sample_slots` of the requests are
    compared, and predictions that differ by `tolerance` at most agree.
    """

    kind: GuardrailKind
    margin: Fraction
    slower_than_us: int = 0
    sample_slots: int = 0
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class ShadowSpec:
    """A shadow: an arm of the route, by name, or another version; exactly one of `arm` and `ref` is given.

    `against` limits it to requests that these arms answered; empty, to those of all others. `placement` is where it
    runs.
    """

    sample_slots: int
    arm: str | None = None
    ref: ArmRef | None = None
    against: tuple[str, ...] = ()
    deadline_s: float = 1.0
    placement: str = "process"
    tolerance: float = 0.0

    @property
    def name(self) -> str:
        """What the log and the metrics call it."""
        return self.arm if self.arm is not None else str(self.ref)


@dataclass(frozen=True, slots=True)
class Limits:
    """The least and the most slots that an operator or a rollout may give an arm."""

    floor: int
    ceiling: int


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A route as declared; it has either a split or a rollout. `unit` is None when each request is its own unit.

    `fallbacks` names for an arm the one that answers where it fails; `otherwise` is the arm that is trusted, which also
    answers those who are outside of the target or the layer, or in the holdout. `batch_wait_s` is how long a request
    may wait for company; `placement` overrules what the versions say. `alpha` is the probability with which the
    guardrails together may be wrong.
    """

    route: str
    arms: Mapping[str, ArmRef]
    seed: str
    split: Mapping[str, int] | None = None
    rollout: RolloutSpec | None = None
    unit: str | None = None
    fallbacks: Mapping[str, str] | None = None
    otherwise: str | None = None
    deadline_s: float | None = None
    batch_wait_s: float | None = None
    placement: str | None = None
    guardrails: tuple[Guardrail, ...] = ()
    alpha: Fraction = DEFAULT_ALPHA
    shadows: tuple[ShadowSpec, ...] = ()
    limits: Mapping[str, Limits] | None = None
    target: Mapping[str, Any] | None = None
    layer: Layer | None = None
    holdout: Holdout | None = None

    @property
    def is_exclusive(self) -> bool:
        """Whether some requests do not take part in the draw; the trusted arm answers them."""
        return self.target is not None or self.layer is not None or self.holdout is not None

    @property
    def guarded(self) -> tuple[str, ...]:
        """The arms that guardrails watch: the one that is rolled out, or all but the one that is trusted."""
        if not self.guardrails:
            return ()
        if self.rollout is not None:
            return (self.rollout.of,)
        return tuple(arm for arm in self.arms if arm != self.otherwise)
