"""Serve applications for dedicated versions: one for each version, named after what it runs.

Each replica that needs a version asks Serve for its application, which changes nothing if the application is there. The
application is reached by handle alone. It is never changed: another artifact, or other resources, is another
application. So moving traffic between the two is moving it between lanes.
"""

import asyncio
import hashlib
import math
import os
import time
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import structlog
from ray import serve

from gateway.execution.dedicated import DedicatedExecutor, Wanted
from gateway.execution.executor import Executor
from gateway.execution.latency import LatencyModel
from gateway.execution.load_options import load_options
from gateway.execution.model_environment import blanked
from gateway.execution.model_replica import ModelReplica, Profile
from gateway.settings import Settings
from registry_sync.open import CREDENTIALS, is_local
from registry_sync.version import Version
from runtimes.batching import Inputs, RequestResult
from runtimes.errors import InputRefused, ModelFailed, ModelRefused, StillLoading
from runtimes.manifest_text import manifest_to_yaml
from runtimes.python.consent import require_consent_to_packages

_log = structlog.get_logger()

PREFIX = "pointsman-model-"

_RAYS_OWN = "RAY_"

_PROFILE_WITHIN_S = 20.0
_UNUSED_FOR_S = 30.0
_RETRY_AFTER_S = 30.0
_LOOK_EVERY_S = 5.0
_HEALTH_TIMEOUT_S = 30.0
_SHUTDOWN_S = 10.0
_ERRORS = (ModelFailed, InputRefused)


class RayApplications:
    """The applications that one replica uses: see `gateway.execution.dedicated.Dedicated`."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._loop = loop
        self._opened: dict[Wanted, set[str]] = {}
        self._running: dict[str, Version] = {}
        self._looked_s = -math.inf
        self._unused_s: dict[str, float] = {}
        self._listed_s = -math.inf

    def open(self, version: Version) -> tuple[Executor, str]:
        """See `Dedicated.open`. An application that is still starting is not waited for."""
        name, wanted = _name(version), (version.key, version.seen)
        self._opened.setdefault(wanted, set()).add(name)
        try:
            self._require_running(name, version)
            opened = asyncio.run_coroutine_threadsafe(_reach(serve.get_app_handle(name)), self._loop)
            handle, profile = opened.result(_PROFILE_WITHIN_S)
        except ModelRefused:
            raise
        except Exception as error:  # Ray raises many kinds: it or the application died or does not answer
            raise ModelRefused(f"{version.key}: its application does not answer: {error!r}.") from error
        now_s = time.monotonic()
        self._unused_s |= dict.fromkeys(self._opened[wanted] - {name}, now_s)
        self._opened[wanted] = {name}
        self._running[name] = version
        executor = DedicatedExecutor(
            _remote(handle),
            LatencyModel(profile.one_row_s, profile.rows, profile.rows_s),
            max_rows=version.manifest.max_batch,
            processes=version.manifest.resources.max_replicas,
            examples=profile.examples,
        )
        return executor, profile.unbatched_because

    def retain(self, versions: Collection[Wanted], *, is_all: bool) -> None:
        """See `Dedicated.retain`. An application is ended once this replica has not used it for half a minute."""
        now_s = time.monotonic()
        try:
            if is_all and now_s - self._listed_s > _UNUSED_FOR_S:
                self._listed_s = now_s
                self._unused_s = {name: now_s for name in serve.status().applications if name.startswith(PREFIX)} | (
                    self._unused_s
                )
            self._end_unused(versions, now_s)
            self._start_missing(now_s)
        except Exception as error:  # noqa: BLE001  # Ray raises many kinds; ending can wait for the next call, and no route depends on it
            _log.warning("gateway.dedicated.not_ended", error=repr(error))

    def _start_missing(self, now_s: float) -> None:
        """Start the applications anew that are used and that were deleted behind this replica's back."""
        used = set().union(*self._opened.values())
        self._running = {name: version for name, version in self._running.items() if name in used}
        if not self._running or now_s - self._looked_s < _LOOK_EVERY_S:
            return
        self._looked_s = now_s
        there = serve.status().applications
        for name, version in self._running.items():
            if name not in there:
                _log.warning("gateway.dedicated.missing", application=name)
                self._deploy(name, version)

    def _require_running(self, name: str, version: Version) -> None:
        status = serve.status().applications.get(name)
        if status is None:
            self._deploy(name, version)
        if status is None or status.status in ("NOT_STARTED", "DEPLOYING"):
            raise StillLoading(f"{version.key} is being started in an application of its own, and is served then.")
        if status.status == "DEPLOY_FAILED" and time.time() - status.last_deployed_time_s > _RETRY_AFTER_S:
            serve.delete(name, _blocking=False)  # a file that was missing or half copied may be complete now
        if status.status != "RUNNING":
            raise ModelRefused(f"{version.key}: its application is {status.status}. {status.message}".strip())

    def _end_unused(self, versions: Collection[Wanted], now_s: float) -> None:
        for wanted in self._opened.keys() - set(versions):
            self._unused_s |= dict.fromkeys(self._opened.pop(wanted), now_s)
        used = set().union(*self._opened.values())
        for name in self._unused_s.keys() & used:
            del self._unused_s[name]
        for name, since_s in list(self._unused_s.items()):
            if now_s - since_s > _UNUSED_FOR_S:
                serve.delete(name, _blocking=False)
                _log.info("gateway.dedicated.ended", application=name)
                del self._unused_s[name]

    def _deploy(self, name: str, version: Version) -> None:
        resources = version.manifest.resources
        options = load_options(self._settings)
        require_consent_to_packages(version.manifest, options)
        # Ray starts every process with the environment in which the cluster was started: passwords are among it.
        registry = self._settings.registry
        kept = (_RAYS_OWN,) if is_local(registry) else (_RAYS_OWN, *CREDENTIALS)
        runtime: dict[str, Any] = {"env_vars": blanked(os.environ, kept)}
        packages = [*resources.pip, *version.manifest.packages]
        if packages:
            runtime["pip"] = packages
        actor: dict[str, Any] = {
            "num_cpus": resources.num_cpus,
            "num_gpus": resources.num_gpus,
            "runtime_env": runtime,
        }
        scale: dict[str, Any] = {"num_replicas": resources.min_replicas}
        if resources.max_replicas > resources.min_replicas:
            limits = {"min_replicas": resources.min_replicas, "max_replicas": resources.max_replicas}
            scale = {"autoscaling_config": {**limits, "target_ongoing_requests": 1}}
        deployment: Any = serve.deployment(
            ModelReplica,
            name="model",
            max_ongoing_requests=4,
            health_check_timeout_s=_HEALTH_TIMEOUT_S,
            graceful_shutdown_timeout_s=_SHUTDOWN_S,
            ray_actor_options=actor,
            **scale,
        )
        _log.info("gateway.dedicated.starting", application=name)
        manifest_text = manifest_to_yaml((version.own or version).manifest)
        application = deployment.bind(registry, tuple(version.key), options, version.seen, manifest_text)
        serve.run_many(
            [serve.RunTarget(application, name=name, route_prefix=None)],
            wait_for_ingress_deployment_creation=False,
            wait_for_applications_running=False,
        )


def _name(version: Version) -> str:
    """Return a name that is derived from everything that the application is made from."""
    manifest = version.manifest
    made_of = [*version.key, manifest.resources, manifest.max_batch, *manifest.packages]
    content = msgspec.json.encode([*made_of, version.seen] if version.seen else made_of)
    return f"{PREFIX}{version.key.model}-{version.key.version}-{hashlib.sha256(content).hexdigest()[:12]}"


async def _reach(application: Any) -> tuple[Any, Profile]:
    """Return a handle and the profile of an application.

    This runs on the event loop, because a handle with options belongs to the loop that made it. Tensors travel with the
    call, not by reference.
    """
    handle = application.options(_by_reference=False)
    return handle, await handle.profile.remote()


def _remote(handle: Any) -> Any:
    run = handle.run

    async def remote(inputs: Inputs, rows: Sequence[int], until_wall_s: float | None) -> Sequence[RequestResult]:
        replies = await run.remote(inputs, list(rows), until_wall_s)
        errors = {error.__name__: error for error in _ERRORS}
        return [content if kind == "ok" else errors[kind](content) for kind, content in replies]

    return remote
