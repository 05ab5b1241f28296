"""The commands that change a document. Operators give them, and so do rollouts and guardrails by themselves.

`router.document.apply` does what they say. Times are seconds since the epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from router.document.document import Candidate, Document
from router.spec.spec import RouteSpec


@dataclass(frozen=True, slots=True)
class Declare:
    """Make the route what `spec` declares. Slots move as little as the new weights allow.

    `bound` holds the version that each reference names now, as far as that is known: what is new in the declaration is
    bound to it.
    """

    spec: RouteSpec
    at_s: float = 0.0
    bound: Mapping[str, Candidate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shift:
    """Give the named arms these weights. The rest goes to the others in proportion to what they have."""

    weights: Mapping[str, Fraction]
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Start:
    """Begin the rollout of the candidate, which is the version that its arm's reference names now.

    A bandit, which has no candidate, begins from its first weights.
    """

    candidate: Candidate | None
    at_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Keep the weights as they are."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Continue after a pause, or approve the next step."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Promote:
    """Give the candidate everything; of a bandit, the arm that is named or has the most."""

    at_s: float
    arm: str | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """Forget what a bandit knows of an arm."""

    arm: str
    at_s: float


@dataclass(frozen=True, slots=True)
class PromoteShadow:
    """Make the version of a shadow the candidate, and begin its rollout."""

    shadow: str
    candidate: Candidate
    at_s: float


@dataclass(frozen=True, slots=True)
class Abort:
    """Take all traffic from an arm and put its version in quarantine.

    In a rollout `arm` may be left out. `bound` is the version that serves it now. Without `is_held` the version is not
    put in quarantine: another arm, which takes over the traffic, serves it as well.
    """

    at_s: float
    why: str
    arm: str | None = None
    bound: Candidate | None = None
    is_held: bool = True


@dataclass(frozen=True, slots=True)
class Undo:
    """Go back to the content of an earlier version of the document. What is in quarantine stays there.

    `named` holds what the aliases name now, as far as that is known. Where that is not what they were bound to then, it
    is not followed again until the alias names something else.
    """

    to: Document
    at_s: float
    named: Mapping[str, Candidate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Release:
    """Let a version out of quarantine, such as `fraud:18`. A new trial begins, so earlier evidence does not count."""

    version: str
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Advance:
    """End the rollout's step and begin the next one."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Hold:
    """End the rollout's step and wait for approval of the next one."""


@dataclass(frozen=True, slots=True)
class Follow:
    """Begin the rollout, or begin it anew, because the alias of its candidate names another version now."""

    candidate: Candidate
    at_s: float


@dataclass(frozen=True, slots=True)
class Withdraw:
    """End the rollout without a verdict, because the alias of its candidate names what the other arms serve."""

    candidate: Candidate
    at_s: float


@dataclass(frozen=True, slots=True)
class Bind:
    """Bind arms and shadows to what their aliases name now."""

    bound: Mapping[str, Candidate]
    at_s: float


OperatorCommand = Declare | Shift | Start | Pause | Resume | Promote | PromoteShadow | Abort | Undo | Release | Reset
Command = OperatorCommand | Advance | Hold | Follow | Withdraw | Bind
