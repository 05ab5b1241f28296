"""The gain of micro-batching: requests through a version's lane, compared with one call of the model for each.

It runs in one process, without a socket. 32 requests arrive in a turn of the event loop, as they do from 32
connections. The lane merges them, runs the model, and splits its outputs. `python -m loadtests.studies.lanes`.
"""

import asyncio
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from gateway.cli import demo_models
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.lane import Lane
from gateway.execution.lane_pool import LanePool
from gateway.execution.open_in_replica import LaneOptions
from registry_sync.catalogue import Catalogue
from registry_sync.registries.directory import DirectoryRegistry
from router.spec.references import parse_ref
from runtimes.datatypes import Tensor
from runtimes.load_options import LoadOptions
from runtimes.runtime import Runtime

REQUESTS = 32
ROWS = (1, 2, 4, 8, 16, 32, 64)
_RUN_S = 0.25


def main(rounds: Annotated[int, typer.Option(help="How often each size is measured.")] = 9) -> None:
    """Time 32 requests of 1 to 64 rows, together and one by one."""
    with TemporaryDirectory() as folder:
        open_lane, runtime = _open(Path(folder))
        table = Table("rows a request", "lane ÷ loop, rows/s: median", "lowest", "highest", "lane, rows/s", box=None)
        for rows in ROWS:
            ratios, rates = [], []
            for _ in range(rounds):
                together = uvloop.run(_together(open_lane, rows))
                ratios.append(together / _one_by_one(runtime, rows))
                rates.append(together * rows)
            low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
            table.add_row(str(rows), f"{middle:.2f}", f"{low:.2f}", f"{high:.2f}", f"{statistics.median(rates):,.0f}")
        Console().print(table)


def _open(home: Path) -> tuple[Callable[[], Lane], Runtime]:
    """Return a function that opens the version's lane on the running loop, and the version's runtime."""
    demo_models.train(home / "models", lambda _: None)
    catalogue = Catalogue(DirectoryRegistry(home / "models"), LoadOptions())
    version = catalogue.load(*catalogue.resolve(parse_ref("cancer:2")))
    if version.runtime is None:
        raise RuntimeError("The demo's model could not be loaded.")
    options = LaneOptions(threads=1, inline_below_s=1.0)
    return lambda: LanePool(EndOfTurn(), options, None).lane(version, "replica"), version.runtime


def _inputs(rows: int) -> dict[str, Tensor]:
    return {"X": np.random.default_rng(rows).normal(10, 5, (rows, 30)).astype(np.float32)}


async def _together(open_lane: Callable[[], Lane], rows: int) -> float:
    """Return requests per second, with 32 of them in every turn."""
    inputs, lane = _inputs(rows), open_lane()
    done, began_s = 0, time.perf_counter()
    while (elapsed_s := time.perf_counter() - began_s) < _RUN_S:
        jobs = [lane.submit(inputs, rows) for _ in range(REQUESTS)]
        while not all(job.settled for job in jobs):
            await asyncio.sleep(0)
        done += REQUESTS
    return done / elapsed_s


def _one_by_one(runtime: Runtime, rows: int) -> float:
    """Return requests per second, one after another."""
    inputs, outputs = _inputs(rows), [spec.name for spec in runtime.signature.outputs]
    done, began_s = 0, time.perf_counter()
    while (elapsed_s := time.perf_counter() - began_s) < _RUN_S:
        runtime.run(inputs, outputs)
        done += 1
    return done / elapsed_s


if __name__ == "__main__":
    typer.run(main)
