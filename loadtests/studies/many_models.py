"""What many models cost one replica: the time until they serve, their memory, and what another route notices meanwhile.

Rounds alternate: the other route is measured alone, then while a part of the models is tried and loaded. So a machine
that is busy with other work slows both alike. `python -m loadtests.studies.many_models [--models N] [--rounds N]
[--json]`. The study of many routes uses the registry that is written here.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import httpx
import numpy as np
import psutil
import typer
import yaml
from onnx import NodeProto, TensorProto, helper, numpy_helper

from gateway.access.change_header import CHANGE_HEADER
from loadtests.figures import print_figures
from loadtests.onnx_version import write_onnx_version
from loadtests.soak.gateway import Gateway, new_home, serving
from registry_sync.registries.directory import ALIASES
from runtimes.manifest import TensorSpec

_VERSIONS = 3
_COLUMNS = tuple(f"column-{number}" for number in range(2))
_OPSET = 17
_IR_VERSION = 8
_WIDTH = 512  # 512 x 512 numbers of 4 bytes are 1 MiB
_APPLY_S = 1800.0
_REQUEST_EVERY_S = 0.005
_BODY = {"inputs": [{"name": "X", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}]}


def main(
    models: Annotated[int, typer.Option(min=1, help="How many models, of 1 MiB each.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Parts in which they are loaded.")] = 4,
    port: Annotated[int, typer.Option(help="The first of the ports that the replica takes.")] = 8750,
    home: Annotated[Path | None, typer.Option(help="Keep the gateway's folder here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Load many models into a replica that serves another route."""
    with new_home(home) as folder:
        publish(folder / "models", 1)
        for number in range(models):
            publish_weights(folder / "models", f"weights-{number:04}", number)
        with serving(folder, port) as gateway:
            figures = _measure(gateway, models, rounds)
    print_figures(figures, as_json=as_json)


def _measure(gateway: Gateway, models: int, rounds: int) -> dict[str, float]:
    with httpx.Client(base_url=f"http://127.0.0.1:{gateway.port}", trust_env=False, timeout=_APPLY_S) as client:
        _apply(client, {"beside": "model-0000:1"})
        process = psutil.Process(gateway.process.pid)
        _apply(client, {"weights-0000": "weights-0000:1"})  # the libraries are there from now on
        before, alone, beside, ready_s = process.memory_info().rss, list[float](), list[float](), 0.0
        left = [f"weights-{number:04}" for number in range(1, models)]
        for part in np.array_split(np.array(left), rounds):
            names = {str(name): f"{name}:1" for name in part}
            began_s = time.perf_counter()
            beside += _latencies(gateway, lambda names=names: _apply(client, names))  # type: ignore[misc]
            took_s = time.perf_counter() - began_s
            ready_s += took_s
            alone += _latencies(gateway, lambda took_s=took_s: time.sleep(min(took_s, 30.0)))  # type: ignore[misc]
        figures = {
            "models": float(models),
            "until all serve, s": ready_s,
            "until a model serves, s": ready_s / max(len(left), 1),
            "memory of a model, MB": (process.memory_info().rss - before) / max(len(left), 1) / 1e6,
        }
    for share in (50, 99):
        for name, taken_s in (("alone", alone), ("while models load", beside)):
            figures[f"p{share} of another route {name}, ms"] = 1000 * float(np.percentile(taken_s, share))
    return figures


def _latencies(gateway: Gateway, work: Callable[[], object]) -> list[float]:
    """Send requests at a steady pace while the work is done. Return the seconds that each took."""
    worker = threading.Thread(target=work)
    taken_s = []
    with httpx.Client(base_url=f"http://127.0.0.1:{gateway.port}", trust_env=False) as client:
        worker.start()
        while worker.is_alive():
            began_s = time.perf_counter()
            client.post("/v2/models/beside/infer", json=_BODY).raise_for_status()
            taken_s.append(time.perf_counter() - began_s)
            time.sleep(_REQUEST_EVERY_S)
    worker.join()
    return taken_s


def _apply(client: httpx.Client, arms: dict[str, str]) -> None:
    """Declare a route for each version, and wait until all serve."""
    routes = [
        {"spec": {"route": route, "arms": {"a": version}, "split": {"a": "100%"}}, "expected": 0}
        for route, version in arms.items()
    ]
    body = {"routes": routes, "why": "a study"}
    client.post("/api/apply", json=body, headers={CHANGE_HEADER: "1"}).raise_for_status()
    while not arms.keys() <= set(client.get("/v2/models").json()["models"]):
        time.sleep(0.05)


def publish_weights(root: Path, name: str, seed: int) -> None:
    """Write a model of 1 MiB: its input times a matrix of its own."""
    weights = np.random.default_rng(seed).random((_WIDTH, _WIDTH), "f4")
    write_onnx_version(
        root / name / "1",
        _content([helper.make_node("MatMul", ["X", "W"], ["Y"])], _WIDTH, [numpy_helper.from_array(weights, "W")]),
        inputs=(TensorSpec("X", "FP32", (-1, _WIDTH)),),
        outputs=(TensorSpec("Y", "FP32", (-1, _WIDTH)),),
        description="made to measure many models",
    )


def publish(root: Path, count: int) -> list[str]:
    """Write the models, of three versions each and with aliases, and return their names.

    All have the same artifact. So it is tried once, and the study need not wait for a trial of each version.
    """
    content = _identity()
    names = [f"model-{number:04}" for number in range(count)]
    for name in names:
        for version in range(1, _VERSIONS + 1):
            write_onnx_version(
                root / name / str(version),
                content,
                inputs=(TensorSpec("X", "FP32", (-1, len(_COLUMNS)), _COLUMNS),),
                outputs=(TensorSpec("Y", "FP32", (-1, len(_COLUMNS))),),
                description="answers what it gets; made to measure many routes",
            )
        move_aliases(root, name, champion="1", challenger="2")
    return names


def move_aliases(root: Path, name: str, **aliases: str) -> None:
    """Replace the aliases of a model, all at the same time."""
    fresh = root / name / f"{ALIASES}.new"
    fresh.write_text(yaml.safe_dump(aliases))
    fresh.replace(root / name / ALIASES)


def _identity() -> bytes:
    return _content([helper.make_node("Identity", ["X"], ["Y"])], len(_COLUMNS), [])


def _content(nodes: list[NodeProto], width: int, constants: list[TensorProto]) -> bytes:
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]) for name in ("X", "Y")]
    graph = helper.make_graph(nodes, "model", tensors[:1], tensors[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    content: bytes = model.SerializeToString()
    return content


if __name__ == "__main__":
    typer.run(main)
