"""Runs the replicas as a Ray Serve deployment on a cluster of this machine's own. Acts.

Ray Serve owns placement, restarts and rolling upgrades; it is not in the byte path: its proxies are off, and each
replica listens itself. The cluster shares this process's fate: the kernel ends it when this process ends.

`gateway.replica.ray_environment` must have been prepared before this module is imported.
"""

import asyncio
import contextlib
import io
import logging
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import ray
import structlog
from ray import serve
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig

from gateway.errors import EngineFailed
from gateway.execution.ray_applications import RayApplications
from gateway.replica.replica import Replica
from gateway.settings import Settings
from gateway.telemetry.logs import configure_logs

_log = structlog.get_logger()

APPLICATION = "pointsman"
ADDRESS_FILE = "ray-address"

_WHERE_LOGS_ARE = "The logs in /tmp/ray/session_latest/logs say more."

_HEALTH_PERIOD_S = 2.0
_HEALTH_TIMEOUT_S = 4.0
_LAST_WORDS_S = 25.0  # added to the drain: requests in hand, the last segments
_CPUS_PER_REPLICA = 0.1  # a claim for placement, not a limit; leaves room for the surge of a rolling upgrade


class GatewayReplica:
    """The deployment: one `Replica`, on the loop of its Serve replica."""

    async def __init__(self, settings: dict[str, Any], generation: int) -> None:  # type: ignore[misc]  # Serve awaits it
        configure_logs()
        _log.info("gateway.replica.starting", generation=generation)
        read = Settings.model_validate(settings)
        self._replica = Replica(read, RayApplications(read, asyncio.get_running_loop()))
        await self._replica.start()

    async def check_health(self) -> None:
        """Asked by Serve; raising means unhealthy."""
        await self._replica.check()

    async def __del__(self) -> None:
        """Called, once, by Serve's graceful shutdown."""
        await self._replica.stop()


class Interrupted(BaseException):
    """SIGINT or SIGTERM, wherever the process was; like KeyboardInterrupt, nothing but the end may catch it."""


def run(settings: Settings, on_step: Callable[[str], None], on_ready: Callable[[], None]) -> None:
    """Starts cluster and replicas, serves until SIGINT or SIGTERM, then takes everything down in order."""
    try:
        _handle_signals(_interrupt)
        on_step("starting Ray")
        with _saying_why("Ray"):
            address = start_cluster()
        _handle_signals(_interrupt)  # again: Ray has put a handler of its own in the place of SIGTERM's
        (settings.home / ADDRESS_FILE).write_text(address)  # for `ray status --address` and the like
        on_step(f"starting {settings.replicas} replicas")
        with _saying_why("The replicas"):
            deploy(settings)
        _handle_signals(_interrupt)
        on_ready()
        while True:
            signal.pause()
    except Interrupted:
        on_step("stopping: answering what is in hand, writing the log")
    finally:
        _handle_signals(signal.SIG_IGN)
        stop_cluster()


@contextlib.contextmanager
def _saying_why(what: str) -> Iterator[None]:
    """Turns whatever Ray's parts raise into one sentence."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().rpartition("\n")[2]
        raise EngineFailed(f"{what} did not start: {reason} {_WHERE_LOGS_ARE}") from error


def start_cluster() -> str:
    """A fresh Ray cluster on this machine's loopback, and Serve on it without proxies. Returns its address."""
    ray.init(
        address="local",
        _node_ip_address="127.0.0.1",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        num_gpus=0,
        configure_logging=True,
    )
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(
        http_options=HTTPOptions(location="NoServer"),
        logging_config=LoggingConfig(log_level="WARNING", enable_access_log=False),
    )
    return str(ray.get_runtime_context().gcs_address)


def deploy(settings: Settings, generation: int = 1) -> None:
    """Starts the replicas, or replaces them one by one where they differ. Returns when all of them serve.

    Serve compares what replicas are made from; another `generation` makes them differ though no setting does.
    """
    deployment: Any = serve.deployment(
        GatewayReplica,
        name="gateway",
        num_replicas=settings.replicas,
        max_ongoing_requests=1000,
        health_check_period_s=_HEALTH_PERIOD_S,
        health_check_timeout_s=_HEALTH_TIMEOUT_S,
        graceful_shutdown_wait_loop_s=0.1,
        graceful_shutdown_timeout_s=settings.drain_s + _LAST_WORDS_S,
        ray_actor_options={"num_cpus": _CPUS_PER_REPLICA},
    )
    application = deployment.bind(settings.model_dump(mode="json"), generation)
    serve.run(application, name=APPLICATION, route_prefix=None, blocking=False)


def stop_cluster() -> None:
    """Serve first, which drains the replicas, then Ray."""
    if ray.is_initialized():
        # Ray prints, as a failure, that its controller ended when it was told to.
        nowhere = io.StringIO()
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            serve.shutdown()
            ray.shutdown()


def _handle_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _interrupt(number: int, _: FrameType | None) -> None:
    raise Interrupted(signal.Signals(number).name)
