"""Every setting, read once at start from the environment (prefix `POINTSMAN_`) or from flags of `serve`. Decides."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Frozen; passed down from the composition root, never read from the environment elsewhere."""

    model_config = SettingsConfigDict(env_prefix="POINTSMAN_", frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    grpc_port: int = Field(8001, ge=0, le=65535, description="Port of the gRPC door; 0 for none.")
    engine: Literal["ray", "uvicorn"] = "ray"
    replicas: int = Field(2, ge=1, le=64)
    home: Path = Path("var")
    store: str = ""
    registry: str = ""
    log: str = ""

    allow_pickle: bool = False
    onnx_threads: int = Field(1, ge=1, le=64)

    access: Literal["", "open", "required"] = Field(
        "", description="required: a key or token for everything; open: for nothing. Unset: open on loopback only."
    )
    jwks: str = Field("", description="File or URL of the JWKS that signs bearer tokens; none if empty.")
    jwt_issuer: str = Field("", description="The issuer that bearer tokens must name.")
    jwt_audience: str = Field("", description="The audience that bearer tokens must name.")
    tls_certificate: Path | None = Field(None, description="PEM chain for both ports; with tls_key.")
    tls_key: Path | None = None
    tls_client_ca: Path | None = Field(None, description="PEM of the authority that clients' certificates must be of.")

    max_in_flight: int = Field(1024, ge=1, description="Requests a replica works on before it answers 429.")
    max_body_bytes: int = Field(16 * 1024 * 1024, ge=1024, description="Also of a decompressed body.")
    max_instances: int = Field(65_536, ge=1, description="Instances in one request.")
    inline_below_ms: float = Field(2.0, ge=0, description="Models faster than this run on the event loop.")
    model_threads: int = Field(4, ge=1, le=64)

    refresh_every_ms: int = Field(200, ge=20, description="How often a replica asks the store for changes.")
    advance_every_ms: int = Field(
        500,
        ge=50,
        description="How often a replica counts what it has served, and looks whether a rollout may advance.",
    )
    registry_every_s: float = Field(2.0, gt=0, description="How often a replica follows the registry's aliases.")
    drain_s: float = Field(
        2.0, ge=0, le=10, description="How long keep-alive clients are told to leave before the end."
    )
    wedged_after_s: float = Field(5.0, gt=0, description="A loop that has not turned for so long is ended.")
    segment_max_age_s: float = Field(60.0, gt=0, description="A segment older than this becomes Parquet.")
    segment_max_bytes: int = Field(64 * 1024 * 1024, ge=1024)

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.port == self.grpc_port:
            raise ValueError(f"port and grpc_port are both {self.port}; HTTP and gRPC need a port each")
        return self

    def resolved(self) -> "Settings":
        """The same with absolute paths and with every default that depends on `home` filled in."""
        home = self.home.expanduser().absolute()
        filled: dict[str, Any] = {
            "home": home,
            "store": self.store or f"sqlite:///{home / 'pointsman.db'}",
            "registry": self.registry or str(home / "models"),
            "log": self.log or str(home / "log"),
        }
        return self.model_copy(update=filled)

    @property
    def spool(self) -> Path:
        """Where log segments wait to become Parquet."""
        return self.home / "spool"

    @property
    def metrics_dir(self) -> Path:
        """Where the replicas of this machine share their metrics."""
        return self.home / "metrics"

    @property
    def memory(self) -> Path:
        """Where this machine remembers what its store said last."""
        return self.home / "remembered.json"
