"""A bandit on a running gateway: how soon it finds the best of four arms, and how soon it follows when that changes.

Two replicas on Ray Serve share a redis-server. People come at a fixed rate and click with probabilities of .10, .12,
.14 and .18 by arm, 1.5 s later on average. Time is compressed: rewards have a window of 5 s. After a while the
best and the worst arm change places. Decisions and rewards go over HTTP, as with `pointsman demo bandit`. The exit code
is 1 if a target is missed. `python -m loadtests.studies.bandit_live [--seconds N] [--swapped N] [--json]`.
"""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import httpx
import orjson
import typer
from rich.console import Console
from rich.table import Table

from gateway.cli.client import ApiClient
from gateway.cli.demo_bandit.crowd import Crowd
from gateway.cli.demo_bandit.session import Bandit, Session
from gateway.cli.demo_bandit.tally import Figures
from gateway.cli.demo_bandit.view import best_arm
from loadtests.redis_server import redis_server
from loadtests.soak.gateway import new_home, serving
from loadtests.studies.many_models import publish
from tests.support.polling import wait_until

RATES = {"a": 0.10, "b": 0.12, "c": 0.14, "d": 0.18}
SWAPPED = {"a": 0.18, "b": 0.12, "c": 0.14, "d": 0.10}
WINDOW_S = 5
SEED = 20261130
_REPLICAS = 2
_MOST = 0.5
_LEAST_RATIO = 0.5
_SAY_EVERY_S = 10
_APPLY_S = 60.0
_REQUEST = orjson.dumps({"inputs": [{"name": "X", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}]})


def main(
    seconds: Annotated[int, typer.Option(min=30, help="Seconds until the best arm changes.")] = 600,
    swapped: Annotated[int, typer.Option(min=0, help="Seconds after that.")] = 600,
    rate: Annotated[float, typer.Option(min=1, help="Decisions a second.")] = 200,
    discount: Annotated[str, typer.Option(help="After this time a decision counts half; `never`: always full.")] = "2m",
    port: Annotated[int, typer.Option(help="The first of three ports.")] = 8890,
    home: Annotated[Path | None, typer.Option(help="Keep the gateway's folder here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Send a crowd to a bandit, change what it likes best, and see how the weights follow."""
    load_before = os.getloadavg()[0]
    with new_home(home) as folder, redis_server(folder, port + 2) as store:
        publish(folder / "models", 1)
        with serving(folder, port, STORE=store, ENGINE="ray", REPLICAS=str(_REPLICAS)) as gateway:
            client = ApiClient(f"http://127.0.0.1:{gateway.port}")
            _declare(client.url, discount)
            wait_until(lambda: sum("live" in each["routes"] for each in client.replicas(["live"])) == _REPLICAS)
            history = asyncio.run(_play(client, rate, seconds, swapped))
    first = [each for each in history if each.second <= seconds]
    second = [each for each in history if each.second > seconds]
    parts = {"the first": _part(first, None, RATES, rate)}
    if second:
        parts["after the swap"] = _part(second, first[-1], SWAPPED, rate)
    if as_json:
        typer.echo(json.dumps({"load_before": load_before, "discount": discount, "parts": parts}))
    else:
        Console(stderr=True).print(f"load average before: {load_before:.1f}; discount: {discount}")
        _print(parts)
    found = parts["the first"]
    is_met = found["most after, s"] is not None and found["regret ratio"] < _LEAST_RATIO
    raise typer.Exit(0 if is_met and all(each["most after, s"] is not None for each in parts.values()) else 1)


def _declare(url: str, discount: str) -> None:
    learned = {} if discount == "never" else {"discount": discount}
    route = {
        "arms": dict.fromkeys(RATES, "model-0000:1"),
        "metrics": {"click": {"window": f"{WINDOW_S}s"}},
        "bandit": {"policy": "thompson", "reward": "click", **learned},
    }
    headers = {"if-none-match": "*"}
    httpx.put(
        f"{url}/api/routes/live", json=route, headers=headers, trust_env=False, timeout=_APPLY_S
    ).raise_for_status()


async def _play(client: ApiClient, rate: float, seconds: int, swapped: int) -> list[Figures]:
    """Return the figures of each second."""
    stop, history, console = asyncio.Event(), list[Figures](), Console(stderr=True)
    crowd = Crowd(RATES, SEED)
    bandit = Bandit("live", tuple(RATES), "click", WINDOW_S, _REQUEST)

    def on_second(figures: Figures) -> None:
        history.append(figures)
        if figures.second >= seconds:
            crowd.rates = SWAPPED
        if figures.second >= seconds + swapped:
            stop.set()
        if figures.second % _SAY_EVERY_S == 0:
            weights = " ".join(f"{arm}={weight:.1%}" for arm, weight in (figures.weights or {}).items())
            console.print(f"{figures.second} s: {weights}; regret {figures.regret:.0f} of {figures.uniform_regret:.0f}")

    await Session(client, bandit, crowd, rate).run(stop, on_second)
    return history


def _part(part: Sequence[Figures], before: Figures | None, rates: Mapping[str, float], rate: float) -> dict[str, Any]:
    """Return what came of a part of the session, in which the crowd had these rates."""
    best, last = best_arm(rates), part[-1]
    began_s = 0 if before is None else before.second
    regret = last.regret - (before.regret if before else 0.0)
    uniform_regret = last.uniform_regret - (before.uniform_regret if before else 0.0)
    decisions = sum(last.decisions.values()) - (sum(before.decisions.values()) if before else 0)
    took_s = last.second - began_s
    return {
        "seconds": took_s,
        "best": best,
        "decisions a second": round(decisions / took_s, 1),
        "wanted a second": rate,
        "most after, s": _most_after_s(part, best, began_s),
        "share at the end": (last.weights or {}).get(best),
        "regret": round(regret, 1),
        "regret of equal weights": round(uniform_regret, 1),
        "regret ratio": round(regret / uniform_regret, 3),
        "failed": last.failed - (before.failed if before else 0),
        "the last failure": last.trouble,
    }


def _most_after_s(part: Sequence[Figures], best: str, began_s: int) -> int | None:
    """Return after how many seconds an arm has most of the traffic for the rest of a part; None if it has not."""
    after_s = None
    for figures in part:
        if figures.weights is None:
            continue
        if figures.weights[best] <= _MOST:
            after_s = None
        elif after_s is None:
            after_s = figures.second - began_s
    return after_s


def _print(parts: Mapping[str, Mapping[str, Any]]) -> None:
    table = Table("figure", *parts, box=None)
    for name in next(iter(parts.values())):
        table.add_row(name, *(str(part[name]) for part in parts.values()))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
