"""The time of each step of a prediction, measured alone, in one process, without a socket.

The sum of the steps is less than the whole, which has colder caches and also puts the response together.
`python -m loadtests.studies.steps`.
"""

import statistics
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli import demo_models
from gateway.control.desired_state import DesiredState
from gateway.control.reconciler import Reconciler
from gateway.control.report import Identity
from gateway.control.version_loader import VersionLoader
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.lane_pool import LanePool
from gateway.execution.open_in_replica import LaneOptions
from gateway.http.endpoint import InferenceEndpoint
from gateway.inference.call import Call
from gateway.inference.decision_token import Decision, seal
from gateway.inference.live_table import LiveTableHolder
from gateway.inference.predictor import Predictor
from gateway.inference.recorder import Recorder
from gateway.inference.service import InferenceService
from gateway.inference.shadows import Shadows
from gateway.inference.token_key_file import TokenKeyFile, rotate
from gateway.protocols.request import ResponseMeta
from gateway.protocols.v2_http import decode, encode
from gateway.telemetry.metrics import Metrics
from inference_log.spool import take_seat
from inference_log.writer import LogWriter
from loadtests.bench.launch import Form
from loadtests.bench.payload import Payload, http_body, request_body
from registry_sync.catalogue import Catalogue
from registry_sync.reference_reader import ReferenceReader
from registry_sync.registries.directory import DirectoryRegistry
from router.plan import plan
from router.spec.metric import MetricSpec
from runtimes.load_options import LoadOptions
from store.open import open_store

_DECISION = "b93c5aa7870d203c4698e81d"
_PATH, _LEARNING = "/v2/models/cancer/infer", "/v2/models/learning/infer"


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


class AtOnce(EndOfTurn):
    """The turn of a loop that has only one request: the work for its end runs at once."""

    def call(self, work: Callable[[], None]) -> None:
        """Run `work`."""
        work()


def _steps(home: Path) -> dict[str, Callable[[], object]]:
    demo_models.train(home / "models", lambda _: None)
    store = open_store(f"sqlite:///{home / 'store.db'}")
    demo_models.declare(store)
    holder, seat, turn = LiveTableHolder(), take_seat(home / "spool"), AtOnce()
    catalogue = Catalogue(DirectoryRegistry(home / "models"), LoadOptions())
    lanes = LanePool(turn, LaneOptions(threads=1, inline_below_s=1.0), None)
    Reconciler(
        identity=Identity("steps", 0, 0.0),
        store=store,
        desired=DesiredState(store, None),
        versions=VersionLoader(catalogue, ReferenceReader(catalogue)),
        lanes=lanes,
        holder=holder,
        retry_every_s=60.0,
    ).tick(time.monotonic())
    metrics = Metrics(home / "metrics", str(seat.number))
    writer = LogWriter(seat.folder, "steps")
    recorder = Recorder(writer)
    predictor = Predictor(recorder, metrics, Shadows(recorder, metrics))
    rotate(home / "token-keys", time.time())
    keys = TokenKeyFile(home / "token-keys", time.time())
    service = InferenceService(
        holder, predictor, metrics, None, secret=b"", max_in_flight=1, max_instances=1, token_keys=keys
    )
    endpoint = InferenceEndpoint(service, _nothing, turn, max_body_bytes=1 << 20)
    live, body, binary = holder.current.routes["cancer"], request_body(), http_body(Payload("cancer", Form.BINARY, 1))
    learning = replace(live, route=replace(live.route, name="learning", metrics=(MetricSpec("click", 3600.0),)))
    holder.current = replace(holder.current, routes={**holder.current.routes, "learning": learning})
    arm, request = live.arms[0], decode(body, None, live.signature)
    runtime = catalogue.load(arm.lane.key.version, arm.manifest).runtime
    if runtime is None:
        raise RuntimeError("The demo's model could not be loaded.")
    outputs = [spec.name for spec in arm.manifest.outputs]
    tensors = runtime.run(request.inputs, outputs)
    parameters = {"decision_id": _DECISION, "arm": "stable", "reason": "WEIGHTED", "propensity": 0.9}
    response = ResponseMeta("cancer", "2", _DECISION, parameters)

    def token() -> str:
        now_us = time.time_ns() // 1000
        return seal(Decision(_DECISION, "cancer", 0, 1, "stable", 0.9, now_us, 1000, 5), keys.current)

    def predict() -> None:
        _finish(predictor.predict(live, Call(_DECISION, time.perf_counter(), request.inputs, 1)))

    return {
        "decode JSON": lambda: decode(body, None, live.signature),
        "decode binary": lambda: decode(binary.content, binary.json_bytes, live.signature),
        "plan": lambda: plan(live.route, _DECISION),
        "model": lambda: runtime.run(request.inputs, outputs),
        "predict (plan, lane, model, check, record, count)": predict,
        "encode JSON": lambda: encode(response, request, live.signature, tensors),
        "the whole response, JSON": lambda: _finish(endpoint.respond("POST", _PATH, {}, body, time.perf_counter())),
        "decision token": token,
        "the whole response with a token": lambda: _finish(
            endpoint.respond("POST", _LEARNING, {}, body, time.perf_counter())
        ),
    }


async def _nothing(*_: object) -> None:
    """Stand in for the operators' application."""


def _finish(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration:
        return


if __name__ == "__main__":
    typer.run(main)
