"""Every setting. Settings are read once at start, from the environment (prefix `POINTSMAN_`) or flags of `serve`."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.home import DEFAULT_HOME, absolute_home

_LAST_WORK_S = 40.0
"""Of the end of a replica, beside drain and shipping: requests in hand, hanging models, the companion's last work."""


class Settings(BaseSettings):
    """The settings of one process: frozen, and passed down to every part that needs them."""

    model_config = SettingsConfigDict(env_prefix="POINTSMAN_", frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    grpc_port: int = Field(8001, ge=0, le=65535, description="gRPC port; 0 for none.")
    engine: Literal["ray", "uvicorn"] = "ray"
    replicas: int = Field(2, ge=1, le=64)
    max_replicas: int = Field(
        0, ge=0, le=64, description="Ray Serve adds replicas as they are needed, up to this many. 0: always REPLICAS."
    )
    scale_in_flight: float = Field(32.0, gt=0, description="Requests in hand of a replica above which one is added.")
    scale_loop_use: float = Field(
        0.6, gt=0, le=1, description="The share of time at work of a replica's event loop above which one is added."
    )
    scale_out_after_s: float = Field(10.0, ge=0, description="How long a replica must be missing until it is added.")
    scale_in_after_s: float = Field(300.0, ge=0, description="How long a replica must be needless until it is ended.")
    home: Path = DEFAULT_HOME
    store: str = ""
    registry: str = ""
    registry_webhook_secret: str = Field(
        "", repr=False, description="The secret of MLflow's webhook at /api/registry/webhook. Empty: none is taken."
    )
    log: str = ""
    log_kms_key: str = Field("", description="The key of KMS that encrypts the log's objects in S3. Empty: none.")
    cluster: str = Field("", max_length=128, description="The name of this cluster, in each row of the log.")
    metrics_emf: bool = Field(
        False, description="Write metrics to standard output once a minute, in CloudWatch's Embedded Metric Format."
    )
    token_keys_file: Path | None = Field(
        None, description="The keys that seal decision tokens. Unset: a file in the home, which is made."
    )

    unit_secret_file: Path | None = Field(
        None,
        description="The key that hashes units, the same on all machines. Unset: one in the home, which is made.",
    )

    allow_pickle: bool = False
    trusted_types: str = Field(
        "", description="Types beside scikit-learn's own that a skops model may hold if its model.yaml names them, too."
    )
    allow_code: bool = Field(
        False, description="Run models that are Python code (runtimes python and mlflow), in processes of their own."
    )
    onnx_threads: int = Field(1, ge=1, le=64)
    custom_operators: str = Field(
        "", description="Libraries of custom operators for ONNX Runtime: paths, with commas between them."
    )
    load_within_s: float = Field(
        600.0, gt=0, description="How long a model version may take to load and to run for the first time."
    )
    load_max_bytes: int = Field(
        0, ge=0, description="Memory of a process while it loads a version. 0: half of what the machine has."
    )

    model_signature: str = Field(
        "",
        description="Who must have signed a version: key:FILE, or identity:WHO,issuer:URL[,trust:FILE]. Unset: none.",
    )
    load_network: bool = Field(False, description="Versions may use the network while they are tried.")
    model_memory_bytes: int = Field(
        0, ge=0, description="Memory of all models on this machine, in equal parts for the replicas. 0: 70 %."
    )

    access: Literal["", "open", "required"] = Field(
        "",
        description="required: all but health needs a key or token; open: nothing does. Unset: open on loopback only.",
    )
    jwks: str = Field(
        "", description="File or URL of the JWKS that verifies bearer tokens. Empty: tokens are not accepted."
    )
    jwt_issuer: str = Field("", description="The issuer that bearer tokens must name.")
    jwt_audience: str = Field("", description="The audience that bearer tokens must name.")
    allowed_hosts: str = Field(
        "", description="With open access: further names in Host, such as pointsman.lan or *.example.com; * for any."
    )
    cors_origins: str = Field(
        "", description="Origins whose web pages may send requests, such as https://app.example.com."
    )
    tls_certificate: Path | None = Field(None, description="PEM chain for both ports; needs tls_key.")
    tls_key: Path | None = None
    tls_client_ca: Path | None = Field(
        None, description="PEM of the authority that must have signed clients' certificates."
    )

    max_in_flight: int = Field(
        1024, ge=1, description="Requests that a replica handles at a time. Above that it answers 429."
    )
    max_body_bytes: int = Field(16 * 1024 * 1024, ge=1024, description="Also the limit of a decompressed body.")
    max_header_bytes: int = Field(32 * 1024, ge=1024, description="Path and headers of one HTTP request.")
    max_headers: int = Field(100, ge=10, description="Headers of one HTTP request.")
    max_connections: int = Field(
        10_000,
        ge=10,
        description="HTTP connections of a replica. At most half of the file descriptors above a reserve of 256.",
    )
    idle_timeout_s: float = Field(75.0, gt=0, description="How long an HTTP connection may be without a request.")
    header_timeout_s: float = Field(30.0, gt=0, description="How long the headers of an HTTP request may take.")
    body_timeout_s: float = Field(60.0, gt=0, description="After this time a body must come at MIN_BODY_BYTES_PER_S.")
    min_body_bytes_per_s: float = Field(500.0, ge=0, description="The slowest that a body may come, on average.")
    unread_timeout_s: float = Field(60.0, gt=0, description="How long a client may leave its HTTP response unread.")
    max_unfinished_bytes: int = Field(
        512 * 1024 * 1024, ge=1024, description="Bytes of unfinished request bodies that a replica holds in all."
    )
    max_connection_age_s: float = Field(
        0.0,
        ge=0,
        description="After this time at most, a client must connect anew, so that new replicas get a share. 0: never.",
    )
    grpc_max_connections: int = Field(
        10_000,
        ge=10,
        description="gRPC connections of a replica. At most half of the file descriptors above a reserve of 256.",
    )
    grpc_stalled_s: float = Field(
        60.0, gt=0, description="A gRPC call is ended if its client sends or takes no byte for this long."
    )
    grpc_idle_s: float = Field(300.0, gt=0, description="A gRPC connection without a call is ended after this long.")
    invocations_route: str = Field("", description="The route of /invocations, for requests that name none.")
    max_instances: int = Field(65_536, ge=1, description="Instances in one request.")
    inline_below_ms: float = Field(2.0, ge=0, description="Models faster than this run on the event loop.")
    model_threads: int = Field(4, ge=1, le=64)

    refresh_every_ms: int = Field(200, ge=20, description="How often a replica asks the store for changes.")
    advance_every_ms: int = Field(
        500,
        ge=50,
        description="How often the companion counts requests, and checks if a rollout may advance.",
    )
    registry_every_s: float = Field(2.0, gt=0, description="How often the registry's aliases are read.")
    registry_copy_max_bytes: int = Field(
        0,
        ge=0,
        description="The copy of a registry in S3 or MLflow on this machine. 0: 20 GiB, or half of the free disk.",
    )
    keep_warm_s: float = Field(
        60.0, ge=0, description="How long a version that was replaced stays loaded, unless another needs its memory."
    )
    drain_s: float = Field(
        2.0, ge=0, le=10, description="How long keep-alive clients are given to leave before a replica ends."
    )
    leave_wait_s: float = Field(
        5.0,
        ge=0,
        description="How long replicas answer after `pointsman drain` has made them not ready, before they end.",
    )
    wedged_after_s: float = Field(
        5.0, gt=0, description="A replica whose event loop is blocked for this long is ended."
    )
    segment_max_age_s: float = Field(60.0, gt=0, description="A segment older than this becomes Parquet.")
    ship_at_end_s: float = Field(
        5.0,
        ge=0,
        description="How long the log is shipped when the last replica of a machine ends. The next start goes on.",
    )
    segment_max_bytes: int = Field(64 * 1024 * 1024, ge=1024)
    log_max_disk_bytes: int = Field(
        0,
        ge=0,
        description="The disk that rows may take until they are shipped. 0: half of what is free, at most 50 GiB.",
    )
    conversion_max_bytes: int = Field(
        1024 * 1024 * 1024, ge=256 * 1024 * 1024, description="Memory of the process that turns segments into Parquet."
    )
    log_max_instances_per_request: int = Field(
        1000, ge=2, description="Of a request with more instances, the log keeps a sample of this many."
    )
    log_max_payload_bytes: int = Field(
        65_536, ge=1, le=1 << 20, description="Of a body that a route keeps (log.payloads), the log has this much."
    )
    log_max_bytes_per_request: int = Field(
        1024 * 1024, ge=0, description="The values of a request that are larger than this are not logged."
    )

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.port == self.grpc_port:
            raise ValueError(f"port and grpc_port are both {self.port}; HTTP and gRPC need a port each")
        return self

    @model_validator(mode="after")
    def _bounds_of_replicas(self) -> Self:
        if 0 < self.max_replicas < self.replicas:
            raise ValueError(f"max_replicas is {self.max_replicas}, and replicas, the fewest, {self.replicas}")
        return self

    def resolved(self) -> "Settings":
        """Return a copy with absolute paths and with every default that depends on `home` filled in."""
        home = absolute_home(self.home)
        filled: dict[str, Any] = {
            "home": home,
            "store": self.store or f"sqlite:///{home / 'pointsman.db'}",
            "registry": self.registry or str(home / "models"),
            "log": self.log or str(home / "log"),
            "unit_secret_file": self.unit_secret_file and self.unit_secret_file.expanduser().absolute(),
            "token_keys_file": self.token_keys_file and self.token_keys_file.expanduser().absolute(),
        }
        return self.model_copy(update=filled)

    @property
    def end_within_s(self) -> float:
        """How long a replica may take to end: its drain, the log, and models that hang."""
        return self.drain_s + self.ship_at_end_s + _LAST_WORK_S

    @property
    def hurry_file(self) -> Path:
        """The file whose time says when the registry's webhook came last."""
        return self.home / "registry" / "hurry"

    @property
    def spool(self) -> Path:
        """The folder of log segments that are not Parquet yet."""
        return self.home / "spool"

    @property
    def staging(self) -> Path:
        """The folder in which files for S3 are written before they are put there."""
        return self.spool / "staging"

    @property
    def metrics_dir(self) -> Path:
        """The folder in which the processes of this machine publish their metrics."""
        return self.home / "metrics"

    @property
    def last_known_file(self) -> Path:
        """The file with the last state of the store that this machine has seen."""
        return self.home / "remembered.json"

    @property
    def learned_file(self) -> Path:
        """The file with the newest policies of bandits that this machine has seen."""
        return self.home / "learned.jsonl"
