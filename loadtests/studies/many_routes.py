"""What a thousand routes cost a node that has nothing to do, and how soon a change is in force there.

A node is its replicas (uvicorn, one home) and their companion. Every third route is a split, the others are rollouts
under way; all have guardrails. Processor time is that of whole processes. `python -m loadtests.studies.many_routes
[--routes N] [--models N] [--replicas N] [--redis] [--busy N] [--json]`.
"""

import math
import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import httpx
import psutil
import typer

from gateway.access.change_header import CHANGE_HEADER
from loadtests.figures import print_figures
from loadtests.redis_server import redis_server
from loadtests.soak.gateway import COMMAND, Gateway, new_home, serving
from loadtests.studies.many_models import move_aliases, publish

SHIFTS = 20
ALIASES_MOVED = 5
_IN_FORCE_S = 60.0
_LOOK_EVERY_S = 0.005
_APPLY_S = 600.0
_BETWEEN_SHIFTS_S = 0.37  # no multiple of the period of anything
_SETTLE_S = 10.0
_COMPANION = "gateway.companion.main"
_BODY = {"inputs": [{"name": "X", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}]}
_GUARDRAILS = [{"errors": {"worse_by": "1%"}}, {"slower_than": "50ms", "worse_by": "2%"}]
_CHANGE = {CHANGE_HEADER: "1"}


def main(
    routes: Annotated[int, typer.Option(min=3, help="How many routes, of two arms each.")] = 1000,
    models: Annotated[int, typer.Option(min=1, help="Models, of three versions and two aliases each.")] = 20,
    replicas: Annotated[int, typer.Option(min=1, help="Replicas of the node.")] = 1,
    redis: Annotated[bool, typer.Option("--redis", help="Keep the state in a redis-server, not in SQLite.")] = False,
    busy: Annotated[int, typer.Option(help="Routes that get four requests a second in the second period.")] = 5,
    seconds: Annotated[float, typer.Option(help="Seconds over which processor time is measured.")] = 20.0,
    port: Annotated[int, typer.Option(help="The first of the ports that the replicas take.")] = 8750,
    home: Annotated[Path | None, typer.Option(help="Keep the gateway's folder here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure a node with many routes: idle, with a little traffic, and while weights change."""
    with ExitStack() as stack:
        folder = stack.enter_context(new_home(home))
        names = publish(folder / "models", models)
        declared = [_route(number, names) for number in range(routes)]
        settings = {"STORE": stack.enter_context(redis_server(folder, port + 2 * replicas))} if redis else {}
        node = [stack.enter_context(serving(folder, port + 2 * each, **settings)) for each in range(replicas)]
        figures = _measure(node, declared, busy=busy, seconds=seconds)
    print_figures(figures, as_json=as_json)


def _measure(node: Sequence[Gateway], declared: list[dict[str, Any]], *, busy: int, seconds: float) -> dict[str, float]:
    clients = [
        httpx.Client(base_url=f"http://127.0.0.1:{each.port}", trust_env=False, timeout=_IN_FORCE_S) for each in node
    ]
    figures: dict[str, float] = {}
    figures["apply of all, s"] = _timed(lambda: _apply(clients, declared))
    rollouts = [route["route"] for route in declared if "rollout" in route]
    figures["start of all rollouts, s"] = _timed(lambda: _start(clients, rollouts))
    time.sleep(_SETTLE_S)
    splits = [route["route"] for route in declared if "split" in route]
    figures |= {f"idle: {name}, % of a core": share for name, share in _cpu(node, seconds).items()}
    with _traffic(clients[0], [route["route"] for route in declared[:busy]]):
        figures |= {f"{busy} routes busy: {name}, % of a core": share for name, share in _cpu(node, seconds).items()}
    taken_s = [_shift(clients, route) for route in splits[:SHIFTS]]
    figures["shift in force on every replica, median s"] = statistics.median(taken_s)
    figures["shift in force on every replica, worst s"] = max(taken_s)
    followed_s = _follow_aliases(node[0].home / "models", clients, declared[3 * SHIFTS :])
    figures["an alias is followed on every replica, median s"] = statistics.median(followed_s)
    figures["an alias is followed on every replica, worst s"] = max(followed_s)
    figures["pointsman shift, median s"] = statistics.median(
        _command(node[0], "shift", route, "canary=30") for route in splits[-5:]
    )
    figures["pointsman status, median s"] = statistics.median(_command(node[0], "status") for _ in range(5))
    for path in ("/api/status", "/api/replicas", "/api/routes", "/metrics"):
        get = partial(clients[0].get, path)
        figures[f"GET {path}, median s"] = statistics.median(_timed(get) for _ in range(5))
        figures[f"GET {path}, kB"] = len(get().content) / 1e3
    for name, process in _processes(node).items():
        figures[f"memory: {name}, MB"] = process.memory_info().rss / 1e6
    return figures


def _client(gateway: Gateway) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{gateway.port}", trust_env=False, timeout=_IN_FORCE_S)


def _route(number: int, models: list[str]) -> dict[str, Any]:
    """Return a declaration. Half of the arms are bound to an alias, half to a version."""
    model = models[number % len(models)]
    arms = (
        {"stable": f"{model}@champion", "canary": f"{model}:2"}
        if number % 2
        else {"stable": f"{model}:1", "canary": f"{model}@challenger"}
    )
    route: dict[str, Any] = {
        "route": f"route-{number:04}",
        "arms": arms,
        "fallback": "stable",
        "guardrails": _GUARDRAILS,
    }
    if number % 3 == 0:
        return route | {"split": {"stable": "90%", "canary": "10%"}}
    return route | {"rollout": {"of": "canary", "steps": ["1%", "5%", "50%", "100%"], "every": "30m"}}


def _apply(clients: Sequence[httpx.Client], declared: list[dict[str, Any]]) -> None:
    body = {"routes": [{"spec": each, "expected": 0} for each in declared], "why": "a study"}
    clients[0].post("/api/apply", json=body, timeout=_APPLY_S, headers=_CHANGE).raise_for_status()
    _until(lambda: all(len(each.get("/v2/models").json()["models"]) == len(declared) for each in clients), _APPLY_S)


def _start(clients: Sequence[httpx.Client], rollouts: Sequence[str]) -> None:
    for route in rollouts:
        clients[0].post(f"/api/routes/{route}/start", headers=_CHANGE).raise_for_status()


def _shift(clients: Sequence[httpx.Client], route: str) -> float:
    """Return the seconds from the command until every replica draws by the new weights."""
    began_s = time.perf_counter()
    response = clients[0].post(f"/api/routes/{route}/shift", json={"weights": {"canary": "100%"}}, headers=_CHANGE)
    response.raise_for_status()
    for client in clients:
        _until(partial(_is_all_drawn, client, route), _IN_FORCE_S)
    took_s = time.perf_counter() - began_s
    time.sleep(_BETWEEN_SHIFTS_S)
    return took_s


def _is_all_drawn(client: httpx.Client, route: str) -> bool:
    return float(client.post(f"/v2/models/{route}/infer", json=_BODY).headers["x-propensity"]) == 1.0


def _follow_aliases(root: Path, clients: Sequence[httpx.Client], declared: list[dict[str, Any]]) -> list[float]:
    """Move the aliases of some models, and return the seconds until every replica serves what they name."""
    followers = [each for each in declared if "split" in each and each["arms"]["stable"].endswith("@champion")]
    by_model = {each["arms"]["stable"].partition("@")[0]: each["route"] for each in followers}
    taken_s = []
    for model, route in list(by_model.items())[:ALIASES_MOVED]:
        began_s = time.perf_counter()
        move_aliases(root, model, champion="3", challenger="2")
        for client in clients:
            _until(partial(_is_served, client, route, "3"), _IN_FORCE_S)
        taken_s.append(time.perf_counter() - began_s)
        time.sleep(_BETWEEN_SHIFTS_S)
    return taken_s


def _is_served(client: httpx.Client, route: str, version: str) -> bool:
    headers = client.post(f"/v2/models/{route}/infer", json=_BODY).headers
    return (headers["x-arm"], headers["x-model-version"]) == ("stable", version)


def _cpu(node: Sequence[Gateway], seconds: float) -> dict[str, float]:
    """Return the processor time of each process and of all, in percent of a core."""
    processes = _processes(node)
    before = {name: _cpu_s(process) for name, process in processes.items()}
    began_s = time.perf_counter()
    time.sleep(seconds)
    took_s = time.perf_counter() - began_s
    shares = {name: 100 * (_cpu_s(process) - before[name]) / took_s for name, process in processes.items()}
    return shares | {"node": sum(shares.values())}


def _processes(node: Sequence[Gateway]) -> dict[str, psutil.Process]:
    replicas = {f"replica {number}": psutil.Process(each.process.pid) for number, each in enumerate(node)}
    children = [child for process in replicas.values() for child in process.children()]
    (companion,) = (child for child in children if _COMPANION in child.cmdline())
    return replicas | {"companion": companion}


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _traffic(client: httpx.Client, routes: Sequence[str]) -> Iterator[None]:
    """Send each route four requests a second during the block."""
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(0.25):
            for route in routes:
                client.post(f"/v2/models/{route}/infer", json=_BODY).raise_for_status()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _command(gateway: Gateway, *arguments: str) -> float:
    """Return the seconds that a command takes; NaN if it fails."""
    began_s = time.perf_counter()
    done = subprocess.run(  # noqa: S603  # a command of ours
        [*COMMAND, *arguments, "--url", f"http://127.0.0.1:{gateway.port}"],
        env={**os.environ, **gateway.environment},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return math.nan if done.returncode else time.perf_counter() - began_s


def _until(is_done: Callable[[], bool], limit_s: float) -> None:
    until_s = time.monotonic() + limit_s
    while not is_done():
        if time.monotonic() > until_s:
            raise TimeoutError(f"It took longer than {limit_s:.0f} s.")
        time.sleep(_LOOK_EVERY_S)


def _timed(do: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    do()
    return time.perf_counter() - began_s


if __name__ == "__main__":
    typer.run(main)
