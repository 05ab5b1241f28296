"""What operators are answered: checked by pydantic, shown on the OpenAPI page. Decides."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from gateway.api.openapi import NAME
from router.document.phase import Phase
from router.evidence.verdict import VerdictState
from router.spec.parse import PLACEMENTS

_NAMED: dict[str, Any] = {"type": "string", "pattern": NAME}
_SHARE: dict[str, Any] = {"type": ["string", "number"], "description": "Such as 90% or 0.9."}
_SHARES: dict[str, Any] = {"type": "object", "minProperties": 1, "additionalProperties": _SHARE}
_DURATION: dict[str, Any] = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*(us|ms|s|m|h|d)$"}
_ARM_REF: dict[str, Any] = {"type": "string", "description": "`model@alias` follows the alias; `model:version` stays."}
_ROLLOUT: dict[str, Any] = {
    "type": "object",
    "required": ["of", "steps"],
    "properties": {
        "of": {**_NAMED, "description": "The arm that is rolled out."},
        "from": {"type": ["string", "object"], "description": "The arm, or the shares of the arms, that it replaces."},
        "steps": {
            "type": "array",
            "minItems": 1,
            "items": {"type": ["string", "number", "object"]},
            "description": "Such as 5%, or {weight: 5%, every: 10m, samples: 1000, approve: true}.",
        },
        "every": {**_DURATION, "description": "How long a step takes at least."},
        "samples": {"type": "integer", "minimum": 1, "description": "The candidate's requests that a step needs."},
    },
}
_OBJECTS: dict[str, Any] = {"type": "array", "items": {"type": "object"}}

RouteSpec = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "title": "RouteSpec",
            "description": "A route as it is declared, with a split or a rollout. "
            "`route` may be left out where the path names it.",
            "required": ["arms"],
            "properties": {
                "route": _NAMED,
                "arms": {"type": "object", "minProperties": 1, "additionalProperties": _ARM_REF},
                "split": _SHARES,
                "rollout": _ROLLOUT,
                "unit": {"type": "string", "description": "`header:NAME` or `parameters.NAME`; absent: per request."},
                "fallback": {
                    "type": ["string", "object"],
                    "description": "The arm that is trusted and answers where another cannot; or, by arm, which does.",
                },
                "deadline": _DURATION,
                "batch_wait": _DURATION,
                "placement": {"type": "string", "enum": list(PLACEMENTS)},
                "guardrails": {**_OBJECTS, "description": "Such as {errors: {worse_by: 1%}}."},
                "alpha": {**_SHARE, "description": "How probably the guardrails together may be wrong; 1 % if absent."},
                "shadow": {**_OBJECTS, "description": "Such as {arm: fraud:17, sample: 20%}."},
                "limits": {"type": "object", "description": "By arm, such as {floor: 5%, ceiling: 20%}."},
                "target": {"type": "object", "description": "A condition in GrowthBook's language: who takes part."},
                "layer": {"type": "object", "description": "Such as {name: checkout, range: [0%, 50%]}."},
                "holdout": {"type": ["string", "number", "object"], "description": "The share that takes no part."},
                "seed": {"type": "string", "minLength": 1},
            },
        }
    ),
]
Weights = Annotated[dict[str, str], Field(description="By arm, such as 20%.")]
StoreState = Literal["REACHABLE", "UNREACHABLE", "LOST"]
Interval = Annotated[tuple[float, float], Field(description="From, to: 95 %, at whatever time one looks.")]


class Standing(BaseModel):
    """Where a rollout stands."""

    phase: Phase
    step: int = Field(ge=0, description="The step that it is in, or was in last, from 1; 0: it has not begun.")
    of_steps: int
    since_s: float | None = Field(description="When the step began, in seconds since the epoch.")
    candidate: str | None = Field(description="The version that is rolled out.")


class Held(BaseModel):
    """A version in quarantine: no arm of the route gives it any traffic."""

    model: str
    version: str
    digest: str = Field(description="SHA-256 of the artifact.")
    at_s: float = Field(description="Seconds since the epoch.")
    why: str


class Described(BaseModel):
    """A route's document."""

    route: str
    version: int = Field(ge=1)
    spec: RouteSpec
    weights: Weights
    rollout: Standing | None
    quarantine: list[Held]


class Changed(Described):
    """The same, and how this version came to be."""

    who: str = Field(description="`pointsman`: the gateway itself.")
    at_s: float = Field(description="Seconds since the epoch.")
    what: str
    why: str


class AuditEntry(BaseModel):
    """One change of one route."""

    number: int = Field(ge=1, description="Its place in the order of all changes of all routes.")
    route: str
    version: int = Field(ge=1)
    who: str = Field(description="`pointsman`: the gateway itself.")
    at_s: float = Field(description="Seconds since the epoch.")
    what: str
    why: str
    by: str = Field(description="The replica that made it.")
    phase: Phase | None = Field(description="Of the rollout, if there is one.")
    weights: Weights


class Restored(BaseModel):
    """What was put back into the store."""

    routes: list[str]


class ProgressStatus(Standing):
    """Where a rollout stands, and what comes next."""

    next: str = Field(description="A sentence: what happens by itself, and when, or what somebody has to do.")


class ArmCounts(BaseModel):
    """An arm's drawn requests since the trial began."""

    arm: str
    requests: int
    errors: int


class GuardrailStatus(BaseModel):
    """What a guardrail says of an arm."""

    arm: str
    guardrail: str
    state: VerdictState
    reason: str
    p_value: float


class ShadowStatus(BaseModel):
    """What a shadow answered since the trial began, held against what one arm had answered."""

    shadow: str
    version: str = Field(description="The model version that answered; empty: none has yet.")
    against: str = Field(description="The arm; empty: none has been compared yet.")
    answers: int
    failures: int = Field(description="Requests on which it failed or was too late.")
    pairs: int = Field(description="Instances that both have answered.")
    flips: int = Field(description="Pairs that differ.")
    flip_rate: Interval
    mean_difference: Interval | None = Field(description="Of their predictions, absolute; null: too few.")
    delay_ms: Interval | None = Field(description="By how much the shadow's model is slower; null: too few.")


class RouteStatus(Described):
    """What is wanted of a route, which version each live replica has applied (null: none), and how its arms do."""

    applied: dict[str, int | None]
    converged: bool = Field(description="Every live replica has applied this version.")
    rollout: ProgressStatus | None
    trial_s: float = Field(description="When the trial began that is counted here, in seconds since the epoch.")
    counts: list[ArmCounts]
    guardrails: list[GuardrailStatus]
    worst: VerdictState | None = Field(description="Of the guardrails' states; null: there are none.")
    shadows: list[ShadowStatus]


class ReplicaStatus(BaseModel):
    """What a replica said last."""

    replica: str
    pid: int
    state: Literal["LIVE", "GONE"]
    age_s: float = Field(description="How long ago it said so.")
    up_s: float
    snapshot: str
    routes: dict[str, int] = Field(description="Document version by route.")
    problems: dict[str, str] = Field(description="By route, what keeps it from being served as declared.")
    warnings: dict[str, str] = Field(description="By route, what it is served without.")
    trouble: str = Field(description="What is wrong with the store, as this replica sees it.")


class StoreStatus(BaseModel):
    """The store, as the replica that answers sees it. While it is not REACHABLE, nothing can be changed."""

    state: StoreState
    trouble: str
    stale_s: float = Field(ge=0, description="How long ago this replica last heard from it.")


class Status(BaseModel):
    """What is wanted, and what each replica serves."""

    store: StoreStatus
    routes: list[RouteStatus]
    replicas: list[ReplicaStatus]


class HeldVersion(BaseModel):
    """A version that the answering replica holds."""

    model: str
    version: str
    digest: str = Field(description="SHA-256 of the artifact.")
    state: Literal["READY", "QUARANTINED"]
    reason: str = Field(description="Why it is quarantined.")
