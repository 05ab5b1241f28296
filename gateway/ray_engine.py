"""Runs the replicas as a Ray Serve deployment on a cluster of this machine's own. Acts.

Ray Serve owns placement, restarts and rolling upgrades; it is not in the byte path: its proxies are off, and each
replica listens itself. The cluster shares this process's fate: the kernel ends it when this process ends.
"""

import logging
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

import ray
import structlog
from ray import serve
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig

from gateway.logs import configure_logs
from gateway.replica import Replica
from gateway.settings import Settings

_log = structlog.get_logger()

APPLICATION = "pointsman"
ADDRESS_FILE = "ray-address"

_HEALTH_PERIOD_S = 2.0
_HEALTH_TIMEOUT_S = 4.0
_LAST_WORDS_S = 25.0  # added to the drain: requests in hand, the last segments
_CPUS_PER_REPLICA = 0.1  # a claim for placement, not a limit; leaves room for the surge of a rolling upgrade
_ENVIRONMENT = {
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ray runs workers at niceness 15 by default: whatever else the machine does would come before predictions.
    "RAY_worker_niceness": "0",
    # A replica's threads would otherwise multiply with the machine's cores.
    "OMP_NUM_THREADS": "1",
}


class GatewayReplica:
    """The deployment: one `Replica`, on the loop of its Serve replica."""

    async def __init__(self, settings: dict[str, Any], generation: int) -> None:  # type: ignore[misc]  # Serve awaits it
        configure_logs()
        _log.info("gateway.replica.starting", generation=generation)
        self._replica = Replica(Settings.model_validate(settings))
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
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        on_step("starting Ray")
        address = start_cluster()
        (settings.home / ADDRESS_FILE).write_text(address)  # for `ray status --address` and the like
        on_step(f"starting {settings.replicas} replicas")
        deploy(settings)
        on_ready()
        while True:
            signal.pause()
    except Interrupted:
        on_step("stopping: answering what is in hand, writing the log")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        stop_cluster()


def start_cluster() -> str:
    """A fresh Ray cluster on this machine, and Serve on it without proxies. Returns the cluster's address."""
    os.environ.update({name: value for name, value in _ENVIRONMENT.items() if name not in os.environ})
    context = ray.init(
        address="local",
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
    return str(context.address_info["gcs_address"])


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
        serve.shutdown()
        ray.shutdown()


def _interrupt(number: int, _: FrameType | None) -> None:
    raise Interrupted(signal.Signals(number).name)
