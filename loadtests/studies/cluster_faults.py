"""What a cluster's faults and changes cost under load: requests that fail, rows that the log lacks, sums that differ.

A Ray cluster on this machine has a head and two workers with a replica each: `ray start --block`, with homes, ports and
hostnames of their own and the settings of `k8s/overlays/prod`. A Redis keeps what the head knows. In each run one thing
happens under load:

- `worker`: all processes of a worker are killed, as with the loss of its machine; a third worker has room;
- `controller`: Serve's controller is killed;
- `head`: the head's `gcs_server` is killed, so that its pod ends; a new head starts at the same address;
- `upgrade`: the application is deployed with the next generation, as new code is;
- `cluster`: a second cluster on the same store starts, gets the requests, and the first one ends, as KubeRay upgrades.

After the first three, a replica is killed without load: it is replaced only if the control plane works again. Clients
keep connections alive, connect to workers that are ready, and try again where a connection is refused.
`python -m loadtests.studies.cluster_faults [--fault worker] [--per-second N] [--json]`; two to five minutes each.
"""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import psutil
import typer

from loadtests.figures import print_figures
from loadtests.redis_server import redis_server
from loadtests.studies.pod_end import LAST_HOOK_S, request_body
from tests.support.endpoints import Endpoints
from tests.support.pods import START_S, Pod, Pods, cluster
from tests.support.polling import wait_until
from tests.support.ports import free_ports
from tests.support.spread_load import SpreadLoad

_BEFORE_S = _AFTER_S = 5.0
_GRACE_S = 40.0
_CONTROLLER, _REPLICA = "ray::ServeController", "ray::ServeReplica"


class Fault(StrEnum):
    """What happens."""

    WORKER = "worker"
    CONTROLLER = "controller"
    HEAD = "head"
    UPGRADE = "upgrade"
    CLUSTER = "cluster"


@dataclass(slots=True)
class Scene:
    """The cluster while the load runs."""

    folder: Path
    pods: Pods
    workers: list[Pod]
    endpoints: Endpoints
    ends: ExitStack
    """Ends what a fault has started, before the cluster is ended."""


def main(
    fault: Annotated[Fault | None, typer.Option(help="Only this one.")] = None,
    per_second: Annotated[float, typer.Option(min=1, help="Requests a second.")] = 50.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Let each thing happen to a cluster under load."""
    figures: dict[str, float] = {}
    for each in Fault if fault is None else (fault,):
        with tempfile.TemporaryDirectory(prefix="pods-", ignore_cleanup_errors=True) as folder:
            found = run(Path(folder), each, per_second)
        figures |= {f"{each}: {name}": figure for name, figure in found.items()}
    print_figures(figures, as_json=as_json)


def run(folder: Path, fault: Fault, per_second: float) -> dict[str, float]:
    """Start a cluster in this folder, let it happen under load, and count."""
    (port,) = free_ports(1)
    with ExitStack() as stack:
        stack.enter_context(redis_server(folder, port))
        pods = stack.enter_context(
            cluster(
                folder / "one",
                RAY_REDIS_ADDRESS=f"127.0.0.1:{port}",
                RAY_external_storage_namespace="one",
                RAY_gcs_rpc_server_reconnect_timeout_s="600",
            )
        )
        endpoints = stack.enter_context(Endpoints(pods))
        workers = _deployed(pods)
        if fault is Fault.WORKER:
            pods.add("third", cpus=1)
        ends = stack.enter_context(ExitStack())
        scene = Scene(folder, pods, workers, endpoints, ends)
        with SpreadLoad(endpoints.ports, request_body(), per_second) as load:
            time.sleep(_BEFORE_S)
            began_s = time.monotonic()
            _HAPPENS[fault](scene)
            recovered_s = time.monotonic() - began_s
            time.sleep(_AFTER_S)
        figures = {"until all is as before, s": recovered_s}
        if fault in (Fault.WORKER, Fault.CONTROLLER, Fault.HEAD):
            figures["until a replica that is killed then is replaced, s"] = _replaced_s(endpoints.pods)
        return figures | _counted(load, endpoints.pods, workers)


def _deployed(pods: Pods) -> list[Pod]:
    """Start two workers, and deploy a replica to each."""
    workers = [pods.add(name, cpus=1) for name in ("first", "second")]
    pods.deploy(num_replicas=len(workers))
    for each in workers:
        each.wait_until_serving()
    return workers


def _lose_worker(scene: Scene) -> None:
    scene.workers[0].kill()
    scene.pods.pods[-1].wait_until_serving()


def _kill_controller(scene: Scene) -> None:
    _end(scene.pods.head, _CONTROLLER)
    wait_until(lambda: scene.pods.head.running(_CONTROLLER), within_s=START_S)


def _lose_head(scene: Scene) -> None:
    head = scene.pods.head
    _end(head, "gcs_server")
    wait_until(lambda: head.process.poll() is not None, within_s=START_S)
    head.kill()
    started = scene.pods.start_head("head-again")
    wait_until(lambda: started.running(_CONTROLLER), within_s=START_S, shows=started.output.read_text)


def _upgrade(scene: Scene) -> None:
    before = _replicas(scene.pods)
    scene.pods.deploy(generation=2, num_replicas=len(before))
    wait_until(lambda: len(_replicas(scene.pods) - before) == len(before), within_s=START_S)
    wait_until(lambda: not _replicas(scene.pods) & before, within_s=START_S)


def _replace_cluster(scene: Scene) -> None:
    second = scene.ends.enter_context(cluster(scene.folder / "two", shared=scene.pods.shared))
    _deployed(second)
    scene.endpoints.pods = second
    time.sleep(_AFTER_S)
    for each in scene.workers:
        each.pre_stop(LAST_HOOK_S)
        each.terminate(_GRACE_S)


_HAPPENS: dict[Fault, Callable[[Scene], None]] = {
    Fault.WORKER: _lose_worker,
    Fault.CONTROLLER: _kill_controller,
    Fault.HEAD: _lose_head,
    Fault.UPGRADE: _upgrade,
    Fault.CLUSTER: _replace_cluster,
}


def _end(pod: Pod, title: str) -> None:
    """Kill the one process of the pod with this title, and wait until it is gone."""
    (process,) = pod.running(title)
    process.kill()
    wait_until(lambda: process not in pod.running(title))


def _replaced_s(pods: Pods) -> float:
    """Kill a replica. Return the seconds until there are as many again."""
    before = _replicas(pods)
    next(iter(before)).kill()
    began_s = time.monotonic()
    wait_until(lambda: len(_replicas(pods) - before) == 1, within_s=START_S)
    (pod,) = (each for each in pods.pods if each.running(_REPLICA) - before)
    pod.wait_until_serving()
    return time.monotonic() - began_s


def _replicas(pods: Pods) -> set[psutil.Process]:
    return {process for pod in pods.pods for process in pod.running(_REPLICA)}


def _counted(load: SpreadLoad, pods: Pods, workers: list[Pod]) -> dict[str, float]:
    """End all replicas, so that they ship their log, and count what clients, log and store have seen."""
    for each in pods.pods:
        if each.running(_REPLICA):
            each.pre_stop(LAST_HOOK_S)
    missing = load.answered.keys() - pods.logged()
    for each in workers:
        each.ship_from_disk()
    for line in load.failed[:5]:
        typer.echo(line, err=True)
    return {
        "answered requests": len(load.answered),
        "failed requests": len(load.failed),
        "refused connections": load.refused,
        "longest time without an answer, s": load.longest_silence_s(),
        "rows missing": len(missing),
        "rows missing that are not on the disk of a worker": len(missing - pods.logged()),
        "sums that differ from the log": pods.differences(),
    }


if __name__ == "__main__":
    typer.run(main)
