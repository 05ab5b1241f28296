"""The cost of a misbehaving shadow to callers: the p99 of a route with it, compared with the route without a shadow.

One replica without Ray gets 200 requests/s in an open loop. The routes are measured in turn, in several rounds. It
needs h2load. `python -m loadtests.studies.shadows [--rounds N] [--json]`.
"""

import hashlib
import json
import pickle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import httpx
import typer
import yaml
from rich.console import Console
from rich.table import Table

from loadtests.bench.figures import Sample, ratios, spread
from loadtests.bench.launch import Launch
from loadtests.bench.processes import Server
from loadtests.servers import mischief
from loadtests.studies.demo_gateway import at_rate, launch_of, prepare_home

PER_SECOND = 200
ALONE = "alone"
SHADOWS = {
    "as the arm": None,
    "ten times slower": mischief.Mischief(takes_s=0.01),
    "slower than its deadline": mischief.Mischief(takes_s=2.0),
    "hangs": mischief.Mischief(takes_s=3600.0),
    "crashes": mischief.Mischief(crashes_after=50),
}


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
                    taken.append(at_rate(launch, _slug(name), PER_SECOND, seconds, work))
            dropped = {name: _dropped(launch, name) for name in SHADOWS}
        finally:
            server.stop()
    _report(samples, dropped, as_json=as_json)


def _prepare(work: Path) -> Launch:
    """Train the demo's models, and write the shadows' models and the routes to declare."""
    home = work / "var"
    prepare_home(home)
    manifest = yaml.safe_load((home / "models/cancer/1/model.yaml").read_text())
    routes = [_route(ALONE, None)]
    for name, model in SHADOWS.items():
        if model is not None:
            _publish(home / "models" / _slug(name) / "1", manifest, pickle.dumps(model))
        routes.append(_route(name, "cancer:2" if model is None else f"{_slug(name)}:1"))
    return launch_of(home, routes, {"POINTSMAN_ALLOW_PICKLE": "true"})


def _publish(folder: Path, manifest: dict[str, Any], content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "model.pkl").write_bytes(content)
    changed = manifest | {"file": "model.pkl", "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "model.yaml").write_text(yaml.safe_dump(changed))


def _route(name: str, shadow: str | None) -> dict[str, Any]:
    route: dict[str, Any] = {"route": _slug(name), "arms": {"stable": "cancer:2"}, "split": {"stable": "100%"}}
    return route if shadow is None else route | {"shadow": [{"arm": shadow}]}


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


if __name__ == "__main__":
    typer.run(main)
