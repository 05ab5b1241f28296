"""The cost of rewards to predictions: the p99 of a route with metrics, with and without rewards coming in beside.

One replica without Ray, whose store is a redis-server, gets predictions in an open loop. In every other measurement,
batches of 1,000 rewards come as well, each of which counts. It needs h2load and redis-server.
`python -m loadtests.studies.rewarded_predictions [--per-second N] [--rounds N] [--json]`.
"""

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import httpx
import orjson
import typer
from rich.console import Console

from loadtests.bench.figures import Sample, ratios, spread
from loadtests.bench.launch import Form, Launch
from loadtests.bench.payload import Payload, http_body
from loadtests.bench.processes import Server
from loadtests.redis_server import redis_server
from loadtests.studies.demo_gateway import at_rate, free_port, launch_of, prepare_home

_ROUTE = {
    "route": "rewarded",
    "arms": {"a": "cancer:1", "b": "cancer:2"},
    "split": {"a": "50%", "b": "50%"},
    "metrics": {"clicks": {"window": "1h", "range": [0, 100], "aggregate": "sum"}},
}
_BATCH = 1_000
_DECISIONS = 10_000


def main(
    per_second: Annotated[int, typer.Option(min=1, help="Rewards per second.")] = 5_000,
    predictions: Annotated[int, typer.Option(min=1, help="Predictions per second.")] = 500,
    rounds: Annotated[int, typer.Option(min=1, help="How often each case is measured.")] = 5,
    seconds: Annotated[int, typer.Option(min=1, help="Seconds of each measurement.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure predictions with rewards beside them, and without."""
    console = Console(stderr=True)
    with TemporaryDirectory() as folder, redis_server(Path(folder), free_port()) as store:
        work = Path(folder)
        prepare_home(work / "var")
        launch = launch_of(work / "var", [_ROUTE], {"POINTSMAN_STORE": store})
        server = Server(launch, work / "gateway.log", work)
        try:
            server.wait_ready()
            console.print(f"making {_DECISIONS} decisions")
            rewards = _Rewards(launch.url, _tokens(launch))
            alone: list[Sample] = []
            beside: list[Sample] = []
            for number in range(rounds):
                console.print(f"round {number + 1} of {rounds}")
                alone.append(at_rate(launch, "rewarded", predictions, seconds, work))
                with rewards.at(per_second):
                    beside.append(at_rate(launch, "rewarded", predictions, seconds, work))
        finally:
            server.stop()
    ratio = ratios([sample.p99_us for sample in beside], [sample.p99_us for sample in alone])
    figures = {
        "predictions_per_s": predictions,
        "rewards_per_s": round(rewards.sent / max(rewards.busy_s, 1e-9)),
        "results": dict(rewards.results),
        "batch_ms": {"median": rewards.batch_ms(0.5), "p99": rewards.batch_ms(0.99)},
        "p99_ms_alone": spread(sample.p99_us / 1e3 for sample in alone).median,
        "p99_ms_beside": spread(sample.p99_us / 1e3 for sample in beside).median,
        "ratio": {"median": ratio.median, "lowest": ratio.minimum, "highest": ratio.maximum},
        "failed": sum(sample.failed for sample in (*alone, *beside)),
    }
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        for name, value in figures.items():
            Console().print(f"{name}: {value}")


class _Rewards:
    """Sends batches of rewards in a thread, each reward once: an event of its own of one of the decisions."""

    def __init__(self, url: str, tokens: list[str]) -> None:
        self.results: Counter[str] = Counter()
        self.sent, self.busy_s = 0, 0.0
        self._taken_s: list[float] = []
        self._url = f"{url}/v2/rewards"
        self._bodies = self._made(tokens)

    @contextmanager
    def at(self, per_second: int) -> Iterator[None]:
        """Send so many a second while the block runs."""
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(stop, per_second), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def batch_ms(self, share: float) -> float:
        """Return a quantile of the time that a batch takes."""
        taken = sorted(self._taken_s)
        return round(1e3 * taken[min(int(share * len(taken)), len(taken) - 1)], 1)

    def _run(self, stop: threading.Event, per_second: int) -> None:
        began_s = time.monotonic()
        with httpx.Client(trust_env=False, timeout=30.0) as client:
            for number in itertools.count(1):
                if stop.is_set():
                    break
                body, asked_s = next(self._bodies), time.monotonic()
                answer = client.post(self._url, content=body, headers={"content-type": "application/json"})
                self._taken_s.append(time.monotonic() - asked_s)
                results = orjson.loads(answer.content).get("results", [])
                self.results.update(each["result"] for each in results)
                self.sent += len(results)
                stop.wait(max(0.0, began_s + number * _BATCH / per_second - time.monotonic()))
        self.busy_s += time.monotonic() - began_s

    def _made(self, tokens: list[str]) -> Iterator[bytes]:
        for event in itertools.count():
            for first in range(0, len(tokens), _BATCH):
                yield orjson.dumps({
                    "rewards": [
                        {"decision": token, "metric": "clicks", "value": 1, "event": f"e{event}"}
                        for token in tokens[first : first + _BATCH]
                    ]
                })  # fmt: skip


def _tokens(launch: Launch) -> list[str]:
    body = http_body(Payload("cancer", Form.JSON, 1))
    with httpx.Client(trust_env=False) as client:
        answers = (client.post(launch.infer_url("rewarded"), content=body.content) for _ in range(_DECISIONS))
        return [answer.headers["x-decision-token"] for answer in answers]


if __name__ == "__main__":
    typer.run(main)
