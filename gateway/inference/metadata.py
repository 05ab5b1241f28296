"""Metadata of the server and its routes, in the protocol's JSON, from the live table alone.

HTTP sends it as it is; gRPC sends messages with the same fields.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.errors import NotReady
from gateway.inference.live_table import LiveArm, LiveRoute, LiveTableHolder, find_route
from gateway.telemetry.statistics import VersionStatistics
from registry_sync.version import VersionKey
from router.plan import find_version
from runtimes.manifest import TensorSpec

SERVER_NAME, SERVER_VERSION = "pointsman", "0.1.0"
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
)

NO_LOADING = (
    "Models cannot be loaded or unloaded here: they come from the registry, and a version is loaded when a route names "
    "it. Use `pointsman apply` or `pointsman shift`."
)
"""The response to the two operations of `model_repository` that change something."""

_PLATFORM_OF = {"onnx": "onnx_onnxv1", "sklearn": "sklearn_skops", "mlflow": "mlflow_pyfunc"}
_MIXED = "pointsman_route"
_CONFIG_TYPE_OF = {"BYTES": "TYPE_STRING"}

Statistics = Callable[[], Mapping[VersionKey, VersionStatistics]]


class Metadata:
    """One per replica. Methods raise `UnknownRoute`, `UnknownVersion` or `NotReady` for what is not served.

    `stall` returns that changes are not being followed, or an empty text.
    """

    def __init__(self, holder: LiveTableHolder, statistics: Statistics) -> None:
        self.stall: Callable[[], str] = str
        self._holder = holder
        self._statistics = statistics

    def server(self) -> dict[str, Any]:
        """Return the server's name, version and extensions."""
        return {"name": SERVER_NAME, "version": SERVER_VERSION, "extensions": list(EXTENSIONS)}

    def problems(self) -> Mapping[str, str]:
        """Return why the server is not ready: by route, what keeps the route from being served as declared."""
        problems, stall = self._holder.current.problems, self.stall()
        return {**problems, "": stall} if stall else problems

    def names(self) -> list[str]:
        """Return the names of all routes that are being served."""
        return sorted(self._holder.current.routes)

    def require_ready(self, route: str, version: str | None = None) -> None:
        """Return if the route, or this version of it, is being served; raise otherwise.

        A version in quarantine is not ready.
        """
        _, arms = self._arms(route, version)
        if version is not None and arms[0].arm.refusal:
            raise NotReady(arms[0].arm.refusal)

    def metadata(self, route: str, version: str | None = None) -> dict[str, Any]:
        """Return inputs, outputs and versions of a route."""
        live, arms = self._arms(route, version)
        return {
            "name": live.route.name,
            "versions": list(dict.fromkeys(arm.arm.version for arm in arms)),
            "platform": _platform(arms),
            "inputs": [_tensor(spec) for spec in live.signature.inputs],
            "outputs": [_tensor(spec) for spec in live.signature.outputs],
        }

    def config(self, route: str, version: str | None = None) -> dict[str, Any]:
        """Return the same in Triton's form: where instances are batched, dimensions do not include the batch's."""
        live, arms = self._arms(route, version)
        signature = live.signature
        is_batched = all(map(signature.counts_instances, (*signature.inputs, *signature.outputs)))
        first = 1 if is_batched else 0
        return {
            "name": live.route.name,
            "platform": _platform(arms),
            "backend": arms[0].manifest.runtime,
            "max_batch_size": min(arm.manifest.max_batch for arm in arms) if is_batched else 0,
            "input": [_configured(spec, first) for spec in signature.inputs],
            "output": [_configured(spec, first) for spec in signature.outputs],
        }

    def statistics(self, route: str | None = None, version: str | None = None) -> dict[str, Any]:
        """Return what the versions of one route, or of all routes, have done on this machine."""
        names = self.names() if route is None else [route]
        known = self._statistics()
        stats = []
        for name in names:
            _, arms = self._arms(name, version)
            keys = dict.fromkeys(arm.lane.key.version for arm in arms)
            stats += [known.get(key, VersionStatistics()).v2_statistics(name, key.version) for key in keys]
        return {"model_stats": stats}

    def index(self, *, only_ready: bool = False) -> list[dict[str, str]]:
        """Return every declared route and version, with its state."""
        live = self._holder.current
        served = [
            {
                "name": name,
                "version": arm.arm.version,
                "state": "UNAVAILABLE" if arm.arm.refusal else "READY",
                "reason": arm.arm.refusal or live.problems.get(name, ""),
            }
            for name, route in sorted(live.routes.items())
            for arm in route.arms
        ]
        if only_ready:
            return [each for each in served if each["state"] == "READY"]
        missing = {name: why for name, why in sorted(live.problems.items()) if name not in live.routes}
        return served + [
            {"name": name, "version": "", "state": "UNAVAILABLE", "reason": why} for name, why in missing.items()
        ]

    def _arms(self, route: str, version: str | None) -> tuple[LiveRoute, Sequence[LiveArm]]:
        """Return the arms of a route: all of them, or the one that serves this version or alias."""
        live = find_route(self._holder.current, route)
        if version is None:
            return live, live.arms
        found = find_version(live.route, version)
        return live, [arm for arm in live.arms if arm.arm is found]


def _platform(arms: Sequence[LiveArm]) -> str:
    platforms = {_PLATFORM_OF.get(arm.manifest.runtime, arm.manifest.runtime) for arm in arms}
    return platforms.pop() if len(platforms) == 1 else _MIXED


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _configured(spec: TensorSpec, first: int) -> dict[str, Any]:
    data_type = _CONFIG_TYPE_OF.get(spec.datatype, f"TYPE_{spec.datatype}")
    return {"name": spec.name, "data_type": data_type, "dims": list(spec.shape[first:])}
