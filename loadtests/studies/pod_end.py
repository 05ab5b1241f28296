"""What the end of a pod costs: requests that fail, and rows that the log lacks.

A Ray cluster on this machine has a head and two workers: `ray start --block`, each with a home, ports and a hostname.
They have the settings of `k8s/overlays/prod`. One worker has both replicas and ends under load, in one of three ways:

- `hook`: the preStop hook (`pointsman drain`), then SIGTERM, as kubelet does it;
- `sigterm`: SIGTERM alone;
- `sigkill`: all its processes are killed, as with the loss of a machine.

Clients keep connections alive, connect to workers that `/-/healthz` says are ready, as a Service's endpoints are, and
try again where a connection is refused. `python -m loadtests.studies.pod_end [--how hook] [--per-second N] [--json]`;
about three minutes for each way.
"""

import json
import tempfile
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from sklearn.datasets import load_breast_cancer

from loadtests.figures import print_figures
from tests.support.endpoints import Endpoints
from tests.support.pods import Pod, Pods, cluster
from tests.support.spread_load import SpreadLoad

_HOOK_S = 200.0
LAST_HOOK_S = 80.0
"""For the last pod: there is none to which its replicas could move, so Serve stops them at once."""
_RAY_S = 40.0
_BEFORE_S = _AFTER_S = 5.0


class How(StrEnum):
    """How the pod ends."""

    HOOK = "hook"
    SIGTERM = "sigterm"
    SIGKILL = "sigkill"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What clients and the log have seen of it. `failed` has what the first failed requests got."""

    answered: int
    failed: list[str]
    failed_requests: int
    refused_connections: int
    ending_s: float
    alone_s: float
    """How long no replica answered anywhere."""
    missing_rows: int
    """Answered requests without a row once all pods have ended."""
    lost_rows: int
    """Those that were not on the pod's disk, either."""


def main(
    how: Annotated[How | None, typer.Option(help="Only this way.")] = None,
    per_second: Annotated[float, typer.Option(min=1, help="Requests a second.")] = 100.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """End a pod under load, in each way."""
    figures: dict[str, float] = {}
    for each in How if how is None else (how,):
        with tempfile.TemporaryDirectory(prefix="pods-", ignore_cleanup_errors=True) as folder:
            outcome = end_pod(Path(folder), each, per_second)
        for line in outcome.failed:
            typer.echo(line, err=True)
        figures |= {
            f"{each}: answered requests": outcome.answered,
            f"{each}: failed requests": outcome.failed_requests,
            f"{each}: refused connections": outcome.refused_connections,
            f"{each}: until the pod has ended, s": outcome.ending_s,
            f"{each}: longest time without an answer, s": outcome.alone_s,
            f"{each}: rows missing": outcome.missing_rows,
            f"{each}: rows missing that are not on the pod's disk": outcome.lost_rows,
        }
    print_figures(figures, as_json=as_json)


def end_pod(folder: Path, how: How, per_second: float) -> Outcome:
    """Start a cluster in this folder, end a pod of it under load, and count."""
    with cluster(folder) as pods, Endpoints(pods) as endpoints:
        first = pods.add("first", cpus=2)
        pods.deploy(num_replicas=2)
        first.wait_until_serving()
        second = pods.add("second", cpus=2)
        with SpreadLoad(endpoints.ports, request_body(), per_second) as load:
            time.sleep(_BEFORE_S)
            began_s = time.monotonic()
            _end(first, how)
            ending_s = time.monotonic() - began_s
            second.wait_until_serving()
            time.sleep(_AFTER_S)
        second.pre_stop(LAST_HOOK_S)
        missing = load.answered.keys() - pods.logged()
        first.ship_from_disk()
        return _outcome(load, ending_s, missing, pods)


def _end(pod: Pod, how: How) -> None:
    if how is How.SIGKILL:
        pod.kill()
        return
    if how is How.HOOK:
        pod.pre_stop(_HOOK_S)
    pod.terminate(_HOOK_S + _RAY_S)


def _outcome(load: SpreadLoad, ending_s: float, missing: set[str], pods: Pods) -> Outcome:
    return Outcome(
        answered=len(load.answered),
        failed=load.failed[:5],
        failed_requests=len(load.failed),
        refused_connections=load.refused,
        ending_s=ending_s,
        alone_s=load.longest_silence_s(),
        missing_rows=len(missing),
        lost_rows=len(missing - pods.logged()),
    )


def request_row() -> list[float]:
    """Return an instance for the demo's route `cancer`."""
    row: list[float] = load_breast_cancer().data[0].tolist()
    return row


def request_body() -> bytes:
    """Return a request of that instance."""
    return json.dumps({"inputs": [{"name": "X", "shape": [1, 30], "datatype": "FP32", "data": request_row()}]}).encode()


if __name__ == "__main__":
    typer.run(main)
