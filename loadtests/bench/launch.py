"""A target of the benchmark: a server to start, or a loop that needs no server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class StartError(Exception):
    """A server could not be started; the message says why."""


class Form(StrEnum):
    """The form of a request: JSON over HTTP, the binary tensor extension over HTTP, or raw tensors over gRPC."""

    JSON = "json"
    BINARY = "binary"
    GRPC = "grpc"


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a server, how to find out when it is ready, and which requests it supports."""

    name: str
    port: int
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready_path: str = "/v2/health/ready"
    ready_limit_s: float = 60.0
    after_ready: Sequence[Sequence[str]] = ()
    forms: frozenset[Form] = frozenset({Form.JSON})
    models: frozenset[str] = frozenset({"cancer"})
    grpc_port: int | None = None

    @property
    def url(self) -> str:
        """Address of the server, on the loopback interface."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def grpc_address(self) -> str:
        """Address of the server's gRPC port. It is the server's only port if `grpc_port` is None."""
        return f"127.0.0.1:{self.grpc_port or self.port}"

    @property
    def ports(self) -> tuple[int, ...]:
        """Every port that must be free before the start."""
        return (self.port,) if self.grpc_port is None else (self.port, self.grpc_port)

    def infer_url(self, model: str) -> str:
        """Return the address for predictions over HTTP."""
        return f"{self.url}/v2/models/{model}/infer"


@dataclass(frozen=True, slots=True)
class Loop:
    """A program that calls the model over and over itself, without a server."""

    name: str
    module: str
    files: Mapping[str, Path]
    forms: frozenset[Form] = frozenset({Form.JSON, Form.BINARY})

    @property
    def models(self) -> frozenset[str]:
        """The models that the program can call."""
        return frozenset(self.files)


Target = Launch | Loop
