"""The responses that describe routes and their versions: pydantic models, shown on the OpenAPI page."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from runtimes.datatypes import NUMPY_OF

Datatype = Annotated[str, WithJsonSchema({"type": "string", "enum": list(NUMPY_OF)})]
Shape = list[Annotated[int, Field(ge=-1)]]


class Server(BaseModel):
    """The name, version and extensions of the server."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """True while this replica responds."""

    live: bool


class Ready(BaseModel):
    """True if every declared route is served as declared; otherwise the reason."""

    ready: bool
    error: str | None = None


class NamedReady(BaseModel):
    """True if this route is served."""

    name: str
    ready: bool


class Names(BaseModel):
    """The names of the routes that are served."""

    models: list[str]


class Tensor(BaseModel):
    """One input or output. In a shape, -1 stands for a size that varies."""

    name: str
    datatype: Datatype
    shape: Shape


class RouteMetadata(BaseModel):
    """A route in the protocol's description of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]


class ConfiguredTensor(BaseModel):
    """One input or output. If instances are batched, the dimension of the batch is left out."""

    name: str
    data_type: str
    dims: Shape


class RouteConfig(BaseModel):
    """The configuration of a route in the format of Triton's clients."""

    name: str
    platform: str
    backend: str
    max_batch_size: int = Field(ge=0, description="0: instances are not batched.")
    input: list[ConfiguredTensor]
    output: list[ConfiguredTensor]


class Duration(BaseModel):
    """A number of events, and their total duration."""

    count: int
    ns: int


class InferenceStatistics(BaseModel):
    """Requests by outcome, and the time spent in each stage."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class VersionStatistics(BaseModel):
    """The statistics of one version on this machine."""

    name: str
    version: str
    last_inference: int = Field(description="Milliseconds since the epoch; 0: never.")
    inference_count: int
    execution_count: int
    inference_stats: InferenceStatistics
    batch_stats: list[dict[str, Any]]


class Statistics(BaseModel):
    """The statistics of versions on this machine."""

    model_stats: list[VersionStatistics]


class IndexEntry(BaseModel):
    """A declared route and one version behind it, with its state."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str
