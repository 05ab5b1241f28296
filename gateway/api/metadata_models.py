"""What clients are told of routes and their versions: checked by pydantic, shown on the OpenAPI page. Decides."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from runtimes.datatypes import NUMPY_OF

Datatype = Annotated[str, WithJsonSchema({"type": "string", "enum": list(NUMPY_OF)})]
Shape = list[Annotated[int, Field(ge=-1)]]


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
