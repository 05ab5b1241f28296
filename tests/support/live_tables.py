"""Live tables of one route, whose arms are runtimes of a test."""

from collections.abc import Mapping
from typing import Any

from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.in_replica import ReplicaExecutor
from gateway.execution.lane import Lane, LaneKey
from gateway.execution.latency import LatencyModel
from gateway.inference.live_table import LiveTable, Served, join
from registry_sync.version import Version, VersionKey, VersionState
from router.compile import Pin, compile_route
from router.document.apply import apply
from router.document.commands import Declare
from router.spec.parse import parse_spec
from runtimes.manifest import Manifest, Signature, TensorSpec
from runtimes.runtime import Runtime

SIGNATURE = Signature(
    inputs=(TensorSpec("X", "FP32", (-1, 2)),),
    outputs=(TensorSpec("label", "INT64", (-1,)), TensorSpec("scores", "FP32", (-1, 1))),
)
"""What every runtime must have."""

_DIGEST = "0" * 64
_MANIFEST = Manifest(runtime="onnx", file="f", sha256=_DIGEST, inputs=SIGNATURE.inputs, outputs=SIGNATURE.outputs)


def join_live(
    runtimes: Mapping[str, Runtime],
    mean_s: float = 0.0,
    *,
    inline_below_s: float = 0.01,
    threads: int = 2,
    is_batching: bool = False,
    beside: Mapping[str, Runtime] | None = None,
    **spec: Any,
) -> LiveTable:
    """Return a live table with one route, `r`, of runtimes by arm name. The first arm has all the weight.

    `mean_s` is the time that every arm has been measured to take. Its lanes belong to the first event loop that uses
    them. `beside` are the runtimes of shadows that are no arms, by reference, such as `m:9`.
    """
    names = list(runtimes)
    split = {name: "100%" if index == 0 else "0%" for index, name in enumerate(names)}
    raw = {"route": "r", "arms": {n: f"m:{i}" for i, n in enumerate(names)}, "split": split, **spec}
    document = apply(None, Declare(parse_spec(raw)))
    turn = EndOfTurn()

    def served(number: str, runtime: Runtime, is_shadow: bool) -> tuple[Version, Lane]:
        key = VersionKey("m", number, _DIGEST)
        executor = ReplicaExecutor(
            runtime, LatencyModel(mean_s, 64, mean_s), threads=threads, inline_below_s=inline_below_s, max_rows=64
        )
        lane = Lane(LaneKey(key, "replica", is_shadow), executor, turn, is_batching=is_batching, has_one_shape_key=True)
        return Version(key, _MANIFEST, VersionState.READY, runtime=runtime), lane

    arms = {name: served(str(number), runtimes[name], False) for number, name in enumerate(names)}
    shadows = {name: served(name.partition(":")[2], runtime, True) for name, runtime in (beside or {}).items()}
    pins = {name: Pin(version.key.version, _DIGEST) for name, (version, _) in (arms | shadows).items()}
    return join({"r": (compile_route(document, pins), Served(arms, shadows, None))}, 1, {}, {})
