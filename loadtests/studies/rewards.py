"""How many rewards a node takes in a second, what each costs, and what predictions notice of it.

The gateway is one replica without Ray, and its companion. Tokens are sealed here, with the gateway's keys. Predictions
go on at a fixed rate, first alone and then beside the rewards. `python -m loadtests.studies.rewards [--rate N]
[--store redis://...] [--json]`.
"""

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import orjson
import psutil
import typer

from gateway.companion.files import PROCESS
from gateway.inference.decision_token import Decision, seal
from gateway.inference.token_key_file import TokenKeyFile
from inference_log.process_lock import holder
from loadtests.figures import print_figures
from loadtests.soak.gateway import Gateway, new_home, serving
from loadtests.studies.many_models import publish
from store.open import open_store

_LIMIT_S = 60.0
_CLIENTS = 4
_PREDICTIONS_PER_S = 100.0
_BODY = {"inputs": [{"name": "X", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}]}
_ROUTE = {"arms": {"a": "model-0000:1"}, "split": {"a": "100%"}, "metrics": {"click": {"window": "1h"}}}


def main(
    seconds: Annotated[float, typer.Option(help="How long rewards are sent.")] = 10.0,
    batch: Annotated[int, typer.Option(min=1, max=1000, help="Rewards of one request.")] = 1000,
    rate: Annotated[float, typer.Option(help="Rewards a second; 0: as many as there is time for.")] = 0.0,
    most: Annotated[int, typer.Option(help="The most rewards that are prepared.")] = 100_000,
    store: Annotated[str, typer.Option(help="The URL of a store without routes; without it a SQLite file.")] = "",
    port: Annotated[int, typer.Option(help="The first of the two ports of the gateway.")] = 8840,
    home: Annotated[Path | None, typer.Option(help="Keep the gateway's folder here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Send rewards for new decisions in batches, and measure."""
    with new_home(home) as folder:
        publish(folder / "models", 1)
        url = store or f"sqlite:///{folder / 'pointsman.db'}"
        with serving(folder, port, STORE=url) as gateway:
            bodies = _bodies(gateway, url, batch, int(rate * seconds) if rate else most)
            figures = _measure(gateway, bodies, batch, seconds, rate)
    print_figures(figures, as_json=as_json)


def _bodies(gateway: Gateway, url: str, batch: int, count: int) -> list[bytes]:
    """Declare the route, and return requests with rewards of its decisions."""
    with _client(gateway) as client:
        client.put("/api/routes/learns", json=_ROUTE, headers={"if-none-match": "*"}).raise_for_status()
    opened = open_store(url)
    entry = opened.read("learns")
    opened.close()
    if entry is None:
        raise AssertionError("The gateway has declared the route in another store.")
    document, now_us = entry.document, time.time_ns() // 1000
    keys = TokenKeyFile(gateway.home / "token-keys", time.time()).current
    tokens = [
        seal(Decision(f"{number:024x}", "learns", document.declared_us, 1, "a", 1.0, now_us, 900, -1), keys)
        for number in range(count)
    ]
    rewards = [{"decision": each, "metric": "click", "value": 1} for each in tokens]
    return [orjson.dumps({"rewards": rewards[start : start + batch]}) for start in range(0, count, batch)]


def _measure(gateway: Gateway, bodies: list[bytes], batch: int, seconds: float, rate: float) -> dict[str, float]:
    found = holder(gateway.home / "spool" / PROCESS / "lock")
    companion = psutil.Process(0 if found is None else found[0])
    with _predictions(gateway) as alone_s:
        time.sleep(seconds)
    before_s, began_s, counted = _cpu_s(companion), time.perf_counter(), list[int]()
    with _predictions(gateway) as beside_s:
        clients = [
            threading.Thread(target=_send, args=(gateway, bodies, batch, began_s + seconds, rate / _CLIENTS, counted))
            for _ in range(_CLIENTS)
        ]
        for each in clients:
            each.start()
        for each in clients:
            each.join()
    taken_s = time.perf_counter() - began_s
    return {
        "rewards counted a second": sum(counted) / taken_s,
        "companion, µs of processor time a reward": (_cpu_s(companion) - before_s) / max(sum(counted), 1) * 1e6,
        **{f"predictions alone, {name} ms": value for name, value in _percentiles(alone_s).items()},
        **{f"predictions beside rewards, {name} ms": value for name, value in _percentiles(beside_s).items()},
    }


def _send(gateway: Gateway, bodies: list[bytes], batch: int, until_s: float, rate: float, counted: list[int]) -> None:
    """Send requests one after the other, at a rate unless it is 0."""
    next_s = time.perf_counter()
    with _client(gateway) as client:
        while bodies and time.perf_counter() < until_s:
            answered = client.post("/v2/rewards", content=bodies.pop(), headers={"content-type": "application/json"})
            answered.raise_for_status()
            counted.append(answered.content.count(b'"counted"'))
            if rate:
                next_s += batch / rate
                time.sleep(max(0.0, next_s - time.perf_counter()))


@contextmanager
def _predictions(gateway: Gateway) -> Iterator[list[float]]:
    """Ask for predictions during the block, at a rate. Yield how long each took."""
    taken_s: list[float] = []
    stop = threading.Event()

    def ask() -> None:
        next_s = time.perf_counter()
        with _client(gateway) as client:
            while not stop.wait(max(0.0, next_s - time.perf_counter())):
                began_s = time.perf_counter()
                client.post("/v2/models/learns/infer", json=_BODY).raise_for_status()
                taken_s.append(time.perf_counter() - began_s)
                next_s += 1 / _PREDICTIONS_PER_S

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield taken_s
    finally:
        stop.set()
        thread.join()


def _percentiles(taken_s: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(taken_s, n=100)
    return {"p50": cuts[49] * 1000, "p99": cuts[98] * 1000}


def _client(gateway: Gateway) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{gateway.port}", trust_env=False, timeout=_LIMIT_S)


def _cpu_s(process: Any) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    typer.run(main)
