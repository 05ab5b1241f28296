"""The responses of the operators' API: pydantic models, shown on the OpenAPI page.

The class names are the names of the page's components, so they are public.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from gateway.api.operators.route_schema import RouteSpec
from router.document.phase import Phase
from router.evidence.verdict import VerdictState

Weights = Annotated[dict[str, str], Field(description="By arm, such as 20%.")]
StoreState = Literal["REACHABLE", "UNREACHABLE", "LOST"]
Interval = Annotated[
    tuple[float, float], Field(description="Lower and upper bound (95 %), valid at every time of reading.")
]


class Standing(BaseModel):
    """The state of a rollout."""

    phase: Phase
    step: int = Field(ge=0, description="The current or last step, from 1; 0: the rollout has not begun.")
    of_steps: int
    since_s: float | None = Field(description="When the step began, in seconds since the epoch.")
    candidate: str | None = Field(description="The version that is rolled out.")


class Learning(BaseModel):
    """The state of a bandit, or of a policy that observes a split."""

    phase: Phase = Field(description="PROGRESSING: it learns.")
    policy: str
    reward: str = Field(description="The metric that it maximises.")
    number: int = Field(ge=0, description="The learned policy whose weights these are; 0: nothing is learned yet.")
    acts: bool = Field(description="False: it only observes.")
    since_s: float = Field(description="When a command gave the arms their weights, in seconds since the epoch.")


class Held(BaseModel):
    """A version in quarantine: no arm of the route gives it any traffic."""

    model: str
    version: str
    digest: str = Field(description="SHA-256 of the artifact.")
    at_s: float = Field(description="Seconds since the epoch.")
    why: str


class Bound(BaseModel):
    """A version, and the digest of its artifact."""

    version: str
    digest: str


class Described(BaseModel):
    """A route's document."""

    route: str
    version: int = Field(ge=1)
    spec: RouteSpec
    weights: Weights
    rollout: Standing | None
    bandit: Learning | None
    quarantine: list[Held]
    bound: dict[str, Bound] = Field(
        description="By arm, and by shadow that is no arm: the version to which it is bound, if it names an alias."
    )


class Changed(Described):
    """A route's document, and the change that made this version."""

    who: str = Field(description="`pointsman`: the gateway itself.")
    at_s: float = Field(description="Seconds since the epoch.")
    what: str
    why: str
    change_id: str = Field(description="The x-change-id of the request that made it, or a random one.")


class AuditEntry(BaseModel):
    """One change of one route."""

    number: int = Field(ge=1, description="Its position in the order of all changes of all routes.")
    route: str
    version: int = Field(ge=1)
    who: str = Field(description="`pointsman`: the gateway itself.")
    at_s: float = Field(description="Seconds since the epoch.")
    what: str
    why: str
    by: str = Field(description="The replica that made the change.")
    phase: Phase | None = Field(description="The phase of the rollout, if there is one.")
    weights: Weights


class Restored(BaseModel):
    """The routes that were written back into the store."""

    routes: list[str]


class ProgressStatus(Standing):
    """The state of a rollout, and what comes next."""

    observed_s: float = Field(description="How long the present step was observed: the time that counts for `every`.")
    next: str = Field(description="A sentence: what happens automatically and when, or what an operator has to do.")


class ArmCounts(BaseModel):
    """An arm's drawn requests since the trial began."""

    arm: str
    requests: int
    errors: int
    left: int = Field(description="Callers who left before the answer; not among the requests.")


class GuardrailStatus(BaseModel):
    """The verdict of a guardrail on an arm."""

    arm: str
    guardrail: str
    state: VerdictState
    reason: str
    p_value: float


class SampleRatioStatus(BaseModel):
    """Whether the arms get as many requests as the weights say that were in force when each request was drawn."""

    state: Literal["AS_EXPECTED", "MISMATCH", "UNTESTED"] = Field(description="UNTESTED: units are drawn.")
    reason: str
    p_value: float = Field(description="It holds at all times at once, so it may be looked at at any time.")
    drawn: dict[str, int] = Field(description="By arm: its drawn requests, with those whose callers left.")
    expected: dict[str, float] = Field(description="By arm: the sum of its weights over all drawn requests.")


class ShadowStatus(BaseModel):
    """The answers of a shadow since the trial began, compared with the answers of one arm."""

    shadow: str
    version: str = Field(description="The model version that answered; empty: none has answered yet.")
    against: str = Field(description="The arm; empty: nothing has been compared yet.")
    answers: int
    failures: int = Field(description="Requests on which the shadow failed or was too late.")
    pairs: int = Field(description="Requests that both answered.")
    instances: int = Field(description="The instances of these requests.")
    flips: float = Field(description="Requests that differ, each counted by the share of its instances that do.")
    flip_rate: Interval
    mean_difference: Interval | None = Field(
        description="The absolute difference of their predictions; null: too few instances."
    )
    delay_ms: Interval | None = Field(description="By how much the shadow's model is slower; null: too few answers.")


class RewardStatus(BaseModel):
    """The rewards of a metric for the decisions of one arm, since the trial began.

    A decision that has matured gets no more rewards; if nothing was reported of it, its value is the metric's default.
    """

    metric: str
    arm: str
    decisions: int = Field(description="Decisions that have matured.")
    rewarded: int = Field(description="Those of them of which something was reported.")
    mean: float | None = Field(description="The mean over the decisions that have matured; null: there is none.")
    interval: Interval | None = Field(
        description="Holds the true mean with 95 % at all times at once, so it may be looked at at any time."
    )
    waiting: int = Field(description="Decisions that have not matured: rewards may still come.")
    late: int = Field(description="Rewards that came after the window. They are in the log and in no sum.")
    silent_since_s: int | None = Field(
        description="Since when decisions lack their rewards, in seconds since the epoch; null: rewards come."
    )


class RouteStatus(Described):
    """A route's document, the version that each live replica has applied (null: none), and the results of its arms."""

    serves: dict[str, str] = Field(
        description="By arm, the model version that the responding replica serves; without arms that it does not serve."
    )
    applied: dict[str, int | None]
    converged: bool = Field(description="There is a live replica, and every live replica has applied this version.")
    silent: list[str] = Field(description="Replicas that have stopped reporting: it is not known what they serve.")
    rollout: ProgressStatus | None
    trial_s: float = Field(description="When the trial began, in seconds since the epoch. The counts start there.")
    counts: list[ArmCounts]
    guardrails: list[GuardrailStatus]
    worst: VerdictState | None = Field(
        description="The worst of the guardrails' states; null: there are no guardrails."
    )
    sample_ratio: SampleRatioStatus | None = Field(description="Null: no drawn request is known with its weights.")
    shadows: list[ShadowStatus]
    rewards: list[RewardStatus]


class ReplicaStatus(BaseModel):
    """The last report of a replica."""

    replica: str
    pid: int
    state: Literal["LIVE", "GONE"]
    age_s: float = Field(description="The age of the report.")
    up_s: float
    snapshot: str
    routes: dict[str, int] = Field(description="Document version by route.")
    problems: dict[str, str] = Field(description="By route, why it is not served as declared.")
    warnings: dict[str, str] = Field(description="By route, what is missing although the route is served.")
    trouble: str = Field(description="What is wrong with the store or the registry, as seen by this replica.")
    versions: dict[str, str] = Field(
        description="By version that serves, such as fraud:17: batched, or why its requests are never run together."
    )
    policies: dict[str, int] = Field(description="Number of the learned policy by bandit.")


class StoreStatus(BaseModel):
    """The store, as seen by the replica that responds. While it is not REACHABLE, nothing can be changed."""

    state: StoreState
    trouble: str
    stale_s: float = Field(ge=0, description="How long ago the store last answered this replica.")


class Status(BaseModel):
    """The declared routes, and what each replica serves."""

    store: StoreStatus
    routes: list[RouteStatus]
    replicas: list[ReplicaStatus]
