"""The bodies that the application answers with: checked by pydantic, shown on the OpenAPI page. Decides."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from gateway.openapi import NAME
from router.document import PLACEMENTS
from runtimes.datatypes import NUMPY_OF

_NAMED: dict[str, Any] = {"type": "string", "pattern": NAME}
_SHARE: dict[str, Any] = {"type": ["string", "number"], "description": "Such as 90% or 0.9."}
_DURATION: dict[str, Any] = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*(us|ms|s|m|h|d)$"}
_ARM_REF: dict[str, Any] = {"type": "string", "description": "`model@alias` follows the alias; `model:version` stays."}

Datatype = Annotated[str, WithJsonSchema({"type": "string", "enum": list(NUMPY_OF)})]
Shape = list[Annotated[int, Field(ge=-1)]]

RouteSpec = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "title": "RouteSpec",
            "description": "A route as it is declared. `route` may be left out where the path names it.",
            "required": ["arms", "split"],
            "properties": {
                "route": _NAMED,
                "arms": {"type": "object", "minProperties": 1, "additionalProperties": _ARM_REF},
                "split": {"type": "object", "minProperties": 1, "additionalProperties": _SHARE},
                "unit": {"type": "string", "description": "`header:NAME` or `parameters.NAME`; absent: per request."},
                "fallback": {**_NAMED, "description": "The arm that answers where the one that was decided cannot."},
                "deadline": _DURATION,
                "batch_wait": _DURATION,
                "placement": {"type": "string", "enum": list(PLACEMENTS)},
                "seed": {"type": "string", "minLength": 1},
            },
        }
    ),
]


class Described(BaseModel):
    """A route's document."""

    route: str
    version: int = Field(ge=1)
    spec: RouteSpec


class Changed(Described):
    """The same, and how this version came to be."""

    who: str
    at_s: float = Field(description="Seconds since the epoch.")
    what: str
    why: str


class RouteStatus(Described):
    """What is wanted of a route, and which version each live replica has applied (null: none)."""

    applied: dict[str, int | None]
    converged: bool = Field(description="Every live replica has applied this version.")


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


class Status(BaseModel):
    """What is wanted, and what each replica serves."""

    routes: list[RouteStatus]
    replicas: list[ReplicaStatus]


class HeldVersion(BaseModel):
    """A version that the answering replica holds."""

    model: str
    version: str
    digest: str = Field(description="SHA-256 of the artifact.")
    state: Literal["READY", "QUARANTINED"]
    reason: str = Field(description="Why it is quarantined.")


class Server(BaseModel):
    """Name, version and extensions."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """Whether this replica answers."""

    live: bool


class Ready(BaseModel):
    """Whether every declared route is being served as declared; if not, why."""

    ready: bool
    error: str | None = None


class NamedReady(BaseModel):
    """Whether this route is being served."""

    name: str
    ready: bool


class Names(BaseModel):
    """The routes that are being served."""

    models: list[str]


class Tensor(BaseModel):
    """One input or output; -1 stands for a size that varies."""

    name: str
    datatype: Datatype
    shape: Shape


class RouteMetadata(BaseModel):
    """A route as the protocol describes models."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]


class ConfiguredTensor(BaseModel):
    """One input or output, without the batch's dimension where instances are batched."""

    name: str
    data_type: str
    dims: Shape


class RouteConfig(BaseModel):
    """A route as Triton's clients want it described."""

    name: str
    platform: str
    backend: str
    max_batch_size: int = Field(ge=0, description="0: instances are not batched.")
    input: list[ConfiguredTensor]
    output: list[ConfiguredTensor]


class Duration(BaseModel):
    """How often, and for how long in all."""

    count: int
    ns: int


class InferenceStatistics(BaseModel):
    """Requests by outcome, and where their time went."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class VersionStatistics(BaseModel):
    """What one version has done on this machine."""

    name: str
    version: str
    last_inference: int = Field(description="Milliseconds since the epoch; 0: never.")
    inference_count: int
    execution_count: int
    inference_stats: InferenceStatistics
    batch_stats: list[dict[str, Any]]


class Statistics(BaseModel):
    """What versions have done on this machine."""

    model_stats: list[VersionStatistics]


class IndexEntry(BaseModel):
    """A declared route and one version behind it."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str
