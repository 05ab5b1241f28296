"""Where a prediction's time goes: each step alone, in one process, without a socket. `python -m loadtests.steps`.

The sum of the steps is less than the whole: between them, caches are cold and answers are put together.
"""

import statistics
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from control.open import open_store
from gateway import demo
from gateway.door import Door
from gateway.executor import Executor
from gateway.live import LiveHolder
from gateway.metrics import Metrics
from gateway.predict import Call, Predictor
from gateway.protocols.v2_http import decode, encode
from gateway.refresh import Identity, Refresher
from inference_log.spool import take_seat
from inference_log.writer import LogWriter
from loadtests.payload import request_body
from registry_sync.catalogue import Catalogue
from registry_sync.registries.directory import DirectoryRegistry
from router.plan import plan
from runtimes.load import LoadOptions

_DECISION = "b93c5aa7870d203c4698e81d"
_PATH = "/v2/models/cancer/infer"


def main(
    rounds: Annotated[int, typer.Option(help="How often each step is measured.")] = 9,
    calls: Annotated[int, typer.Option(help="Calls per measurement.")] = 2000,
) -> None:
    """Time the steps of one prediction."""
    with TemporaryDirectory() as folder:
        steps = _steps(Path(folder))
        taken: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(rounds):
            for name, step in steps.items():
                taken[name].append(_microseconds(step, calls))
    table = Table("step", "µs, median", "lowest", box=None)
    for name, values in taken.items():
        table.add_row(name, f"{statistics.median(values):.1f}", f"{min(values):.1f}")
    Console().print(table)


def _microseconds(step: Callable[[], object], calls: int) -> float:
    began_s = time.perf_counter()
    for _ in range(calls):
        step()
    return (time.perf_counter() - began_s) / calls * 1e6


def _steps(home: Path) -> dict[str, Callable[[], object]]:
    demo.train(home / "models", lambda _: None)
    store = open_store(f"sqlite:///{home / 'store.db'}")
    demo.declare(store)
    holder, seat = LiveHolder(), take_seat(home / "spool")
    catalogue = Catalogue(DirectoryRegistry(home / "models"), LoadOptions())
    Refresher(Identity("steps", 0, 0.0), store, catalogue, holder, 60.0).tick(time.monotonic())
    metrics = Metrics(home / "metrics", seat.number)
    predictor = Predictor(Executor(1, 1.0), LogWriter(seat.folder, "steps"), metrics)
    door = Door(holder, predictor, metrics, _nothing, secret=b"", max_in_flight=1, max_body_bytes=1 << 20)
    live, body = holder.current.routes["cancer"], request_body()
    arm, request = live.arms[0], decode(body, live.signature)
    tensors = arm.runtime.run(request.inputs, arm.output_names)
    parameters = {"decision_id": _DECISION, "arm": "stable", "reason": "WEIGHTED", "propensity": 0.9}

    def predict() -> None:
        call = Call(_DECISION, time.perf_counter(), request.inputs, 1)
        _finish(predictor.predict(live, call, on_loop=True))

    return {
        "decode": lambda: decode(body, live.signature),
        "plan": lambda: plan(live.route, _DECISION),
        "model": lambda: arm.runtime.run(request.inputs, arm.output_names),
        "predict (plan, model, check, record, count)": predict,
        "encode": lambda: encode("cancer", "2", _DECISION, parameters, arm.output_names, tensors),
        "the whole answer": lambda: _finish(door.answer("POST", _PATH, {}, body, time.perf_counter(), on_loop=True)),
    }


async def _nothing(*_: object) -> None:
    """Stands where the operators' application would."""


def _finish(coroutine: Coroutine[Any, Any, object]) -> None:
    """Runs a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration:
        return


if __name__ == "__main__":
    typer.run(main)
