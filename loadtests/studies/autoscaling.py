"""The autoscaler's own decisions under a load curve: from one replica to three, and back to one.

A Ray cluster on this machine has a head and one worker with room for three replicas, which share its ports. The policy
is that of `k8s/base`, with targets that a small machine reaches: `--loop-use` of the event loop, and 3 s and 15 s until
Serve follows. The load is low, then high until there are three replicas and for the largest age of a connection
besides, then low until there is one. Eight gRPC clients with a connection each go on at `--grpc` requests a second.
Counted are failed requests, answered requests without a row, and the shares of the replicas in the last part of the
high load for each protocol, by the log's writers.

`python -m loadtests.studies.autoscaling [--low N] [--high N] [--grpc N] [--loop-use U] [--json]`; about five minutes.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from inference_log.spool import held_seats
from loadtests.figures import print_figures
from loadtests.studies.pod_end import LAST_HOOK_S, request_body, request_row
from tests.support.endpoints import Endpoints
from tests.support.grpc_load import GrpcLoad
from tests.support.pods import Pod, Pods, cluster
from tests.support.polling import wait_until
from tests.support.spread_load import SpreadLoad

_MOST = 3
_LOOK_BACK_S = 20.0
_AGE_S = 15.0
_COUNTED_S = 10.0
_DECIDED_WITHIN_S = 240.0


def main(
    low: Annotated[float, typer.Option(min=1, help="Requests a second before and after.")] = 5.0,
    high: Annotated[float, typer.Option(min=1, help="Requests a second of the rush.")] = 100.0,
    grpc: Annotated[float, typer.Option(min=1, help="Requests a second of the gRPC clients.")] = 20.0,
    loop_use: Annotated[float, typer.Option(help="The policy's target for the event loop.")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Let the autoscaler follow a load curve."""
    with tempfile.TemporaryDirectory(prefix="pods-", ignore_cleanup_errors=True) as folder:
        print_figures(follow(Path(folder), low, high, grpc, loop_use), as_json=as_json)


def follow(folder: Path, low: float, high: float, grpc: float, loop_use: float) -> dict[str, float]:
    """Run the curve. Return the figures."""
    with cluster(folder, POINTSMAN_MAX_CONNECTION_AGE_S=str(_AGE_S)) as pods, Endpoints(pods) as endpoints:
        pod = pods.add("worker", cpus=_MOST)
        pods.deploy(autoscaling_config=_autoscaling(loop_use))
        pod.wait_until_serving()
        with (
            SpreadLoad(endpoints.ports, request_body(), low) as load,
            GrpcLoad(pod.grpc_port, "cancer", request_row(), grpc) as grpc_load,
        ):
            time.sleep(_LOOK_BACK_S)
            calm = _replicas(pod)
            load.set_rate(high)
            out_s = _until(lambda: _replicas(pod) == _MOST)
            time.sleep(_AGE_S)
            counted_from_s = time.time()
            time.sleep(_COUNTED_S)
            counted_to_s = time.time()
            load.set_rate(low)
            in_s = _until(lambda: _replicas(pod) == 1)
        pod.pre_stop(LAST_HOOK_S)
        missing = len((load.answered.keys() | grpc_load.answered) - pods.logged())
        shares = _shares(pods, counted_from_s, counted_to_s)
    for line in (*load.failed[:5], *grpc_load.failed[:5]):
        typer.echo(line, err=True)
    return {
        "replicas before the rush": calm,
        f"until there are {_MOST} replicas, s": out_s,
        "until there is one again, s": in_s,
        "answered requests": len(load.answered),
        "failed requests": len(load.failed),
        "answered requests over gRPC": len(grpc_load.answered),
        "failed requests over gRPC": len(grpc_load.failed),
        "rows missing": missing,
        **shares,
    }


def _autoscaling(loop_use: float) -> dict[str, object]:
    return {
        "min_replicas": 1,
        "max_replicas": _MOST,
        "look_back_period_s": _LOOK_BACK_S,
        "upscale_delay_s": 3,
        "downscale_delay_s": 15,
        "policy": {
            "policy_function": "gateway.replica.autoscaling:ByUse",
            "policy_kwargs": {"in_flight": 32, "loop_use": loop_use},
        },
    }


def _replicas(pod: Pod) -> int:
    return len(held_seats(pod.home / "spool"))


def _until(happened: Callable[[], bool]) -> float:
    """Wait until it has happened. Return the seconds that it took."""
    began_s = time.monotonic()
    wait_until(happened, within_s=_DECIDED_WITHIN_S)
    return time.monotonic() - began_s


def _shares(pods: Pods, from_s: float, to_s: float) -> dict[str, float]:
    """Return how many replicas had requests between two times, and the least busy one's share, for each protocol."""
    rows = pods.writers(from_s, to_s)
    figures: dict[str, float] = {}
    for door in ("v2", "grpc"):
        counts = Counter(writer for each, writer in rows if each == door)
        figures[f"{door}: replicas with requests after the connections' age"] = len(counts)
        figures[f"{door}: the smallest share of them, of an equal one"] = (
            min(counts.values(), default=0) * len(counts) / max(1, counts.total())
        )
    return figures


if __name__ == "__main__":
    typer.run(main)
