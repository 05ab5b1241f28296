"""Runs the replicas as a Ray Serve deployment: on a local Ray cluster of their own, or on one of Kubernetes.

Ray Serve does placement, restarts and rolling upgrades. Requests do not pass through it: its proxies are off, and each
replica listens itself. The kernel ends the cluster when this process ends.

Call `gateway.replica.ray_environment.prepare` before importing this module. On Kubernetes the pods have these variables
(`k8s/base/ray.env`), and Ray Serve builds `application` from its declarative configuration.
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
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy, HTTPOptions
from ray.serve.schema import LoggingConfig

from gateway.access.private_home import make_home
from gateway.errors import EngineFailed
from gateway.execution.ray_applications import RayApplications
from gateway.replica.autoscaling import IN_FLIGHT, LOOP_USE, ByUse, LoopUse
from gateway.replica.leaving import RayNode, write_node
from gateway.replica.replica import Replica
from gateway.settings import Settings
from gateway.telemetry.logs import configure_logs

_log = structlog.get_logger()

APPLICATION = "pointsman"
ADDRESS_FILE = "ray-address"

_WHERE_LOGS_ARE = "The logs in /tmp/ray/session_latest/logs say more."

_HEALTH_PERIOD_S = 2.0
_HEALTH_TIMEOUT_S = 4.0
_LOOK_BACK_S = 20.0
_REPORT_EVERY_S = 10.0  # another value makes Serve warn
_CPUS_PER_REPLICA = 0.1  # a claim for placement, not a limit; leaves room for the surge of a rolling upgrade


class GatewayReplica:
    """The deployment: one `Replica`, on the loop of its Serve replica."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, settings: dict[str, Any] | None, generation: int
    ) -> None:
        configure_logs()
        _log.info("gateway.replica.starting", generation=generation)
        read = _settings_of_pod() if settings is None else Settings.model_validate(settings)
        self._replica = Replica(read, RayApplications(read, asyncio.get_running_loop()))
        await self._replica.start()
        self._loop_use = LoopUse()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return what the autoscaler's policy is told of this replica. Serve calls this, on the event loop."""
        return {IN_FLIGHT: float(self._replica.in_flight()), LOOP_USE: self._loop_use.read()}

    async def check_health(self) -> None:
        """Return if the replica is healthy, or raise. Serve calls this."""
        await self._replica.check()

    async def __del__(self) -> None:
        """Stop the replica. Serve's graceful shutdown calls this once."""
        await self._replica.stop()


def application(arguments: dict[str, Any]) -> Any:
    """Return the application that a declarative configuration names; each replica reads the settings of its pod.

    Another `generation` among the arguments replaces the replicas one by one.
    """
    return _deployment(Settings()).bind(None, int(arguments.get("generation", 1)))


def _settings_of_pod() -> Settings:
    """Return the settings in the environment of this process. Make their home, and write the node there."""
    settings = Settings().resolved()
    make_home(settings.home)
    context = ray.get_runtime_context()
    write_node(settings.home, RayNode(context.gcs_address, context.get_node_id()))
    return settings


class Interrupted(BaseException):
    """SIGINT or SIGTERM, raised wherever the process was. Like KeyboardInterrupt, only `run` may catch it."""


def run(settings: Settings, on_step: Callable[[str], None], on_ready: Callable[[], None]) -> None:
    """Start the cluster and the replicas, serve until SIGINT or SIGTERM, then stop everything in order."""
    try:
        _handle_signals(_interrupt)
        on_step("starting Ray")
        with _explained("Ray"):
            address = start_cluster()
        _handle_signals(_interrupt)  # again: Ray has replaced the handler of SIGTERM by its own
        (settings.home / ADDRESS_FILE).write_text(address)  # for `ray status --address` and the like
        on_step(f"starting {settings.replicas} replicas")
        with _explained("The replicas"):
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
def _explained(what: str) -> Iterator[None]:
    """Turn any exception of Ray into an error with one sentence."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().rpartition("\n")[2]
        raise EngineFailed(f"{what} did not start: {reason} {_WHERE_LOGS_ARE}") from error


def start_cluster() -> str:
    """Start a Ray cluster on this machine's loopback, and Serve on it without proxies. Return its address."""
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
    """Start the replicas, or replace one by one those that differ. Return when all of them serve.

    Serve compares the arguments of replicas. Another `generation` replaces them although no setting has changed.
    """
    bound = _deployment(settings).bind(settings.model_dump(mode="json"), generation)
    serve.run(bound, name=APPLICATION, route_prefix=None, blocking=False)


def _deployment(settings: Settings) -> Any:
    return serve.deployment(
        GatewayReplica,
        name="gateway",
        **_number_of_replicas(settings),
        max_ongoing_requests=1000,
        health_check_period_s=_HEALTH_PERIOD_S,
        health_check_timeout_s=_HEALTH_TIMEOUT_S,
        graceful_shutdown_wait_loop_s=0.1,
        graceful_shutdown_timeout_s=settings.end_within_s,
        ray_actor_options={"num_cpus": _CPUS_PER_REPLICA},
    )


def _number_of_replicas(settings: Settings) -> dict[str, Any]:
    """Return the options of the deployment that say how many replicas there are, or within which bounds."""
    if not settings.max_replicas:
        return {"num_replicas": settings.replicas}
    policy = AutoscalingPolicy(
        policy_function=ByUse, policy_kwargs={IN_FLIGHT: settings.scale_in_flight, LOOP_USE: settings.scale_loop_use}
    )
    return {
        "autoscaling_config": AutoscalingConfig(
            min_replicas=settings.replicas,
            max_replicas=settings.max_replicas,
            look_back_period_s=_LOOK_BACK_S,
            metrics_interval_s=_REPORT_EVERY_S,
            upscale_delay_s=settings.scale_out_after_s,
            downscale_delay_s=settings.scale_in_after_s,
            policy=policy,
        )
    }


def stop_cluster() -> None:
    """Stop Serve, which drains the replicas, and then Ray."""
    if ray.is_initialized():
        # Ray prints the ordered end of its controller as a failure.
        nowhere = io.StringIO()
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            serve.shutdown()
            ray.shutdown()


def _handle_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _interrupt(number: int, _: FrameType | None) -> None:
    raise Interrupted(signal.Signals(number).name)
