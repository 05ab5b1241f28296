"""The nouns of a declared route. `router.spec.parse` checks a declaration and builds them.

Shares of traffic are whole slots of 1/10,000. Arms keep the order in which they were declared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from router.draw.assignment import BUCKETS
from router.draw.layers import Holdout, Layer
from router.spec.bandit import BanditSpec
from router.spec.log import DEFAULT_LOG, LogSpec
from router.spec.metric import MetricSpec
from router.spec.weighing import Weighing

DEFAULT_ALPHA = Fraction(1, 100)


@dataclass(frozen=True, slots=True)
class ArmRef:
    """The reference to which an arm is bound. `model@alias` follows the registry's alias; `model:version` is fixed.

    An arm without a model has its `value` instead, as canonical JSON (`router.spec.value`).
    """

    model: str
    alias: str | None = None
    version: str | None = None
    value: str | None = None

    def __str__(self) -> str:
        return f"{self.model}@{self.alias}" if self.alias is not None else f"{self.model}:{self.version}"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a rollout: the candidate's weight, and the conditions for the next step.

    `every_s` seconds must pass, and `samples` drawn requests must be counted for the candidate. If `approve` is set, an
    operator must then resume the rollout.
    """

    slots: int
    every_s: float = 0.0
    samples: int = 1
    approve: bool = False


class Starts(StrEnum):
    """What begins a rollout."""

    BY_HAND = "by_hand"  # an operator's command
    BY_ALIAS = "by_alias"  # that, or the alias of the arm that is rolled out, once it names another version


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """A rollout of the arm `of`. The arms of `base` share the rest in these proportions, which sum to 1."""

    of: str
    base: Mapping[str, Fraction]
    steps: tuple[Step, ...]
    starts: Starts = Starts.BY_HAND


class GuardrailKind(StrEnum):
    """The event that a guardrail watches."""

    ERRORS = "errors"  # requests that the arm did not answer
    SLOWER_THAN = "slower_than"  # requests that took longer than a threshold
    MISSING_OUTPUTS = "missing_outputs"  # answers with a value missing
    DISAGREEMENT = "disagreement"  # answers that differ from the stable arm's to the same request
    REWARD = "reward"  # how far decisions fall short of the largest value of a metric


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A rate that must not get worse. It may exceed the rate of the other arms by `margin`.

    A disagreement has no other arms to compare with. There `margin` is the rate that is allowed, `sample_slots` of the
    requests are compared, and predictions agree if they differ by at most `tolerance`. The mean of a `metric` may be
    lower by `margin` of its range.
    """

    kind: GuardrailKind
    margin: Fraction
    slower_than_us: int = 0
    sample_slots: int = 0
    tolerance: float = 0.0
    metric: str = ""


@dataclass(frozen=True, slots=True)
class ShadowSpec:
    """A shadow: an arm of the route, by name, or another version. Exactly one of `arm` and `ref` is given.

    It gets the requests that the arms of `against` answered. If `against` is empty, it gets those of all other arms.
    `placement` says where it runs.
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
        """The name in the log and the metrics."""
        return self.arm if self.arm is not None else str(self.ref)


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """What a version that an alias brings is asked before the alias is followed: `logged` requests of the last day.

    If the share of answers that differ is above `above`, the alias is not followed. Without `above`, it is only shown.
    Predictions agree if they differ by at most `tolerance`.
    """

    logged: int
    above: Fraction | None = None
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The least and the most slots that an operator, a rollout or a bandit may give an arm."""

    floor: int
    ceiling: int


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A route as declared. It has either a split or a rollout.

    A bandit is a split whose weights a policy moves: `split` holds the weights before it has learned anything. If the
    policy does not act, it only observes the split.

    - `unit` is None if each request is its own unit.
    - `fallbacks` maps an arm to the arm that answers if it fails.
    - `trusted_arm` also answers requests outside the target or the layer, and those in the holdout.
    - `batch_wait_s` limits how long a request may wait for others to share its batch.
    - `placement` overrides the placement that the versions declare.
    - `alpha` bounds the probability that any of the guardrails is wrong.
    - `check` says what a version is asked before an alias leads to it.
    - `metrics` are what callers may report of a decision. With any, the route answers decision tokens.
    - `log` says what the log keeps of requests.
    - `require_tags` are the tags that a version must have in the registry before an alias leads to it.
    """

    route: str
    arms: Mapping[str, ArmRef]
    seed: str
    split: Mapping[str, int] | None = None
    rollout: RolloutSpec | None = None
    unit: str | None = None
    fallbacks: Mapping[str, str] | None = None
    trusted_arm: str | None = None
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
    require_tags: Mapping[str, str] | None = None
    check: CheckSpec | None = None
    metrics: tuple[MetricSpec, ...] = ()
    bandit: BanditSpec | None = None
    log: LogSpec = DEFAULT_LOG

    @property
    def aliases(self) -> dict[str, ArmRef]:
        """The references that name an alias, by arm and by shadow of its own."""
        refs = {**self.arms, **{each.name: each.ref for each in self.shadows if each.ref is not None}}
        return {name: ref for name, ref in refs.items() if ref.alias is not None}

    @property
    def learns(self) -> bool:
        """True if a policy moves the weights."""
        return self.bandit is not None and self.bandit.acts

    @property
    def weighing(self) -> Weighing | None:
        """What guardrails compare of the rewards of a bandit; None if they compare none."""
        metrics = tuple(each.metric for each in self.guardrails if each.metric)
        if not self.learns or not metrics or self.trusted_arm is None:
            return None
        return Weighing(tuple(self.arms), self.trusted_arm, metrics)

    def bandit_limits(self, arm: str) -> Limits:
        """Return the least and the most slots that a policy may give an arm: its limits, and the floor of all arms."""
        declared = (self.limits or {}).get(arm, Limits(0, BUCKETS))
        floor = declared.floor or (0 if self.bandit is None else self.bandit.floor)
        return Limits(min(floor, declared.ceiling), declared.ceiling)

    @property
    def maximised(self) -> str:
        """The metric from which a policy learns that looks at the request, or empty."""
        return self.bandit.reward if self.bandit is not None and self.bandit.context else ""

    @property
    def is_exclusive(self) -> bool:
        """True if some requests may take no part in the draw. The trusted arm answers those."""
        return self.target is not None or self.layer is not None or self.holdout is not None

    @property
    def guarded_arms(self) -> tuple[str, ...]:
        """The arms that the guardrails watch: the arm that is rolled out or, in a split, all but the trusted arm."""
        if not self.guardrails:
            return ()
        if self.rollout is not None:
            return (self.rollout.of,)
        return tuple(arm for arm in self.arms if arm != self.trusted_arm)
