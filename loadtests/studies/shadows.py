"""The cost of a misbehaving shadow to callers: the p99 of a route with it, compared with the route without a shadow.

One replica without Ray gets 200 requests/s in an open loop. The routes are measured in turn, in several rounds. It
needs h2load. `python -m loadtests.studies.shadows [--rounds N] [--json]`.
"""

import hashlib
import json
import pickle
import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import httpx
import typer
import yaml
from rich.console import Console
from rich.table import Table

from loadtests.bench.figures import Sample, ratios, spread
from loadtests.bench.generators import open_load
from loadtests.bench.launch import Launch
from loadtests.bench.processes import Server, run_quietly
from loadtests.bench.request_files import write_request
from loadtests.bench.scenarios import Kind, Scenario
from loadtests.servers import mischief

PER_SECOND = 200
ALONE = "alone"
SHADOWS = {
    "as the arm": None,
    "ten times slower": mischief.Mischief(takes_s=0.01),
    "slower than its deadline": mischief.Mischief(takes_s=2.0),
    "hangs": mischief.Mischief(takes_s=3600.0),
    "crashes": mischief.Mischief(crashes_after=50),
}
_READY_S = 90.0
_PREPARE_S = 300.0


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each route is measured.")] = 9,
    seconds: Annotated[int, typer.Option(min=1, help="Seconds of each measurement.")] = 6,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure a route without a shadow and with several that misbehave."""
    console = Console(stderr=True)
    with TemporaryDirectory() as folder:
        work = Path(folder)
        launch = _prepare(work)
        server = Server(launch, work / "gateway.log", work)
        try:
            server.wait_ready()
            samples: dict[str, list[Sample]] = {name: [] for name in (ALONE, *SHADOWS)}
            for number in range(rounds):
                console.print(f"round {number + 1} of {rounds}")
                for name, taken in samples.items():
                    taken.append(_measure(launch, name, seconds, work))
            dropped = {name: _dropped(launch, name) for name in SHADOWS}
        finally:
            server.stop()
    _report(samples, dropped, as_json=as_json)


def _prepare(work: Path) -> Launch:
    """Train the demo's models, and write the shadows' models and the routes to declare."""
    home, pointsman = work / "var", str(Path(sys.executable).with_name("pointsman"))
    run_quietly([pointsman, "demo", "--prepare", "--home", str(home)], _PREPARE_S)
    manifest = yaml.safe_load((home / "models/cancer/1/model.yaml").read_text())
    routes = [_route(ALONE, None)]
    for name, model in SHADOWS.items():
        if model is not None:
            _publish(home / "models" / _slug(name) / "1", manifest, pickle.dumps(model))
        routes.append(_route(name, "cancer:2" if model is None else f"{_slug(name)}:1"))
    (work / "routes.yaml").write_text(yaml.safe_dump_all(routes))
    port, grpc_port = free_port(), free_port()
    return Launch(
        name="ours-uvicorn",
        port=port,
        command=[pointsman, "serve", "--engine", "uvicorn", "--port", str(port), "--home", str(home)],
        env={"POINTSMAN_GRPC_PORT": str(grpc_port), "POINTSMAN_ALLOW_PICKLE": "true"},
        ready_limit_s=_READY_S,
        after_ready=[[pointsman, "apply", "-f", str(work / "routes.yaml"), "--url", f"http://127.0.0.1:{port}"]],
    )


def _publish(folder: Path, manifest: dict[str, Any], content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "model.pkl").write_bytes(content)
    changed = manifest | {"file": "model.pkl", "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "model.yaml").write_text(yaml.safe_dump(changed))


def _route(name: str, shadow: str | None) -> dict[str, Any]:
    route: dict[str, Any] = {"route": _slug(name), "arms": {"stable": "cancer:2"}, "split": {"stable": "100%"}}
    return route if shadow is None else route | {"shadow": [{"arm": shadow}]}


def _measure(launch: Launch, name: str, seconds: int, work: Path) -> Sample:
    scenario = Scenario(
        name=_slug(name),
        suite="shadows",
        kind=Kind.OPEN,
        summary=name,
        connections=8,
        warmup_s=0,
        rate_per_s=PER_SECOND,
        model="cancer",
        duration_s=seconds,
    )
    request = write_request(scenario.payload, work)
    return open_load(scenario, launch.infer_url(_slug(name)), request, work / "h2load.log")


def _dropped(launch: Launch, name: str) -> int:
    """Return the number of requests that the route's shadow did not get, or did not answer."""
    text = httpx.get(f"{launch.url}/metrics", trust_env=False).text
    lines = [line for line in text.splitlines() if line.startswith("pointsman_shadow_dropped_total")]
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if f'route="{_slug(name)}"' in line)


def _report(samples: dict[str, list[Sample]], dropped: dict[str, int], *, as_json: bool) -> None:
    table = Table(
        "shadow", "p50 ms", "p99 ms", "p99 ÷ alone: median", "lowest", "highest", "failed", "dropped", box=None
    )
    rows = []
    alone = [sample.p99_us for sample in samples[ALONE]]
    for name, taken in samples.items():
        ratio = ratios([sample.p99_us for sample in taken], alone)
        figures = {
            "shadow": name,
            "p50_ms": spread(sample.p50_us / 1e3 for sample in taken).median,
            "p99_ms": spread(sample.p99_us / 1e3 for sample in taken).median,
            "ratio": ratio.median,
            "lowest": ratio.minimum,
            "highest": ratio.maximum,
            "failed": sum(sample.failed for sample in taken),
            "dropped": dropped.get(name, 0),
        }
        rows.append(figures)
        table.add_row(*(value if isinstance(value, str) else f"{value:.4g}" for value in figures.values()))
    if as_json:
        typer.echo(json.dumps(rows))
    else:
        Console().print(table)


def _slug(name: str) -> str:
    return name.replace(" ", "-")


def free_port() -> int:
    """Return a port of the loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    typer.run(main)
