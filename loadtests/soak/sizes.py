"""Requests at the limit of MAX_BODY_BYTES in every datatype, protocol, encoding and direction, alone and 16 at once.

Meanwhile another process asks both ports for health. `python -m loadtests.soak.sizes` tries all cells (about an hour),
`--short` as many as fit into 45 seconds, with the start,, in an order that the seed decides.
"""

import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

from gateway.settings import Settings
from loadtests.soak.bodies import Protocol, body_of, compressed
from loadtests.soak.gateway import Gateway, declare, new_home, serving
from loadtests.soak.models import echo, publish, repeat
from loadtests.soak.prober import Prober, Worst, probing
from loadtests.soak.senders import send
from runtimes.datatypes import NUMPY_OF

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
WORST_MS: Final = 250.0
MOST_GROWTH_BYTES: Final = 2 * Settings().max_unfinished_bytes + 25 * MAX_BODY_BYTES
"""Above the memory before the first request, while sixteen are on their way: docs/operating.md, Memory."""
MOST_OF_STRINGS_BYTES: Final = 30 * MAX_BODY_BYTES * Settings().model_threads
"""What strings may take beyond that, while ONNX Runtime answers them."""
RETURNS_BELOW_BYTES: Final = 512 * 1024**2
"""Above the memory before the first request, after all: buffers of the allocator and of the threads stay."""
ACCEPTABLE: Final = {"200", "429", "503", "504", "OK", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED"}
_SHORT_S: Final = 45.0
_RETURN_LIMIT_S: Final = 30.0
_SAMPLE_S: Final = 0.05
_QUIET_S: Final = 3.0
_ENCODINGS: Final = {False: ("identity", "gzip", "deflate"), True: ("identity", "gzip")}


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination. `is_request` is False if a small request gets a large response."""

    datatype: str
    protocol: Protocol
    encoding: str
    is_request: bool
    at_once: int

    def __str__(self) -> str:
        """Return the combination in words."""
        direction = "request" if self.is_request else "response"
        return f"{self.datatype} {self.protocol} {self.encoding} {direction} x{self.at_once}"


@dataclass(slots=True)
class Report:
    """What was seen. `faults` is empty if all is well."""

    seed: int
    cells: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    quiet_ms: float = 0.0
    """The longest that health took before the first request: what the machine's other tenants cost."""
    before_bytes: int = 0
    peak_bytes: int = 0
    after_bytes: int = 0

    def worst(self) -> dict[str, Any]:
        """Return the cell in which health took longest."""
        return max(self.cells, key=lambda cell: float(cell["worst_ms"]))


def all_cells() -> list[Cell]:
    """Return every combination that exists."""
    found = []
    for protocol in Protocol:
        encodings = _ENCODINGS[protocol.is_grpc]
        for datatype, encoding, at_once in product(protocol.datatypes, encodings, (1, 16)):
            found.append(Cell(datatype, protocol, encoding, True, at_once))
            if encoding == "identity" or not protocol.is_grpc:  # responses of gRPC are not compressed
                found.append(Cell(datatype, protocol, encoding, False, at_once))
    return found


def run(gateway: Gateway, cells: list[Cell], report: Report, worst_ms: float, until_s: float) -> None:
    """Try the cells one after the other, until the time is over or the process has ended. Remove them from the list."""
    with probing(gateway.port, gateway.grpc_port) as prober:
        report.before_bytes = gateway.family_bytes()
        time.sleep(_QUIET_S)
        report.quiet_ms = max(report.quiet_ms, round(1e3 * prober.worst().both_s, 1))
        while cells and time.monotonic() < until_s:
            cell = cells.pop(0)
            tried = _try(gateway, cell, prober, report)
            report.cells.append(tried)
            _tell(f"{len(report.cells)} {cell}: {tried['statuses']}, {tried['worst_ms']} ms, {tried['peak_mb']} MB")
            _judge(gateway, cell, tried, report, worst_ms)
            if not gateway.is_alive:
                return
        _wait_for_memory(gateway, report)


def _try(gateway: Gateway, cell: Cell, prober: Prober, report: Report) -> dict[str, Any]:
    generator = np.random.default_rng([report.seed, *str(cell).encode()])
    route = (echo if cell.is_request else repeat)(cell.datatype)
    size = MAX_BODY_BYTES if cell.is_request else 0
    body = body_of(cell.protocol, route, cell.datatype, size, generator)
    if not cell.protocol.is_grpc:  # gRPC's own client compresses there
        body = compressed(body, cell.encoding)
    ports = (gateway.port, gateway.grpc_port)
    prober.restart()
    began_s, began_cpu_s = time.monotonic(), gateway.cpu_s()
    with _watched(gateway) as memory, ThreadPoolExecutor(cell.at_once) as pool:
        jobs = [pool.submit(send, cell.protocol, ports, route, body, cell.encoding) for _ in range(cell.at_once)]
        statuses = Counter(job.result() for job in jobs)
        taken_s = time.monotonic() - began_s
        worst = prober.worst() if gateway.is_alive else Worst(float("inf"), float("inf"))
    report.peak_bytes = max(report.peak_bytes, *memory)
    return {
        "cell": str(cell),
        "statuses": dict(statuses),
        "seconds": round(taken_s, 2),
        "cpu_s": round(gateway.cpu_s() - began_cpu_s, 2),
        "http_ms": round(1e3 * worst.http_s, 1),
        "grpc_ms": round(1e3 * worst.grpc_s, 1),
        "worst_ms": round(1e3 * worst.both_s, 1),
        "peak_mb": round(max(memory) / 1e6),
    }


def _judge(gateway: Gateway, cell: Cell, tried: dict[str, Any], report: Report, worst_ms: float) -> None:
    if not gateway.is_alive:
        report.faults.append(f"{cell}: the process ended with {gateway.process.returncode}: {gateway.last_lines(1)}")
        return
    if tried["worst_ms"] > worst_ms:
        report.faults.append(f"{cell}: health took {tried['worst_ms']} ms")
    if wrong := {status: count for status, count in tried["statuses"].items() if status not in ACCEPTABLE}:
        report.faults.append(f"{cell}: {wrong}")
    most = MOST_GROWTH_BYTES + (MOST_OF_STRINGS_BYTES if cell.datatype == "BYTES" else 0)
    if (growth := tried["peak_mb"] - report.before_bytes / 1e6) > most / 1e6:
        report.faults.append(f"{cell}: {growth:.0f} MB more than before the first request")


@contextmanager
def _watched(gateway: Gateway) -> Iterator[list[int]]:
    """Note the memory of the process and of its children until the end of the block."""
    seen, is_over = [gateway.family_bytes()], threading.Event()

    def watch() -> None:
        while not is_over.wait(_SAMPLE_S):
            seen.append(gateway.family_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        thread.join()


def _wait_for_memory(gateway: Gateway, report: Report) -> None:
    """Wait until the memory has returned."""
    until_s = time.monotonic() + _RETURN_LIMIT_S
    while True:
        report.after_bytes = gateway.family_bytes()
        if report.after_bytes - report.before_bytes < RETURNS_BELOW_BYTES:
            return
        if time.monotonic() > until_s:
            growth = (report.after_bytes - report.before_bytes) / 1e6
            report.faults.append(f"{growth:.0f} MB more than before after {_RETURN_LIMIT_S:.0f} s")
            return
        time.sleep(1)


def _tell(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)  # noqa: T201
    else:
        print(line, file=sys.stderr, flush=True)  # noqa: T201


def main(
    seed: Annotated[int, typer.Option(help="Decides the order of the cells and their elements.")] = 1,
    minutes: Annotated[float, typer.Option(help="Stop after this time.")] = 120.0,
    worst_ms: Annotated[float, typer.Option(help="The longest that health may take.")] = WORST_MS,
    port: Annotated[int, typer.Option(help="HTTP is here, gRPC one above.")] = 8820,
    only: Annotated[str, typer.Option(help="Only cells whose name contains one of these, with commas between.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
    *,
    short: Annotated[bool, typer.Option("--short", help="Under a minute.")] = False,
) -> None:
    """Try bodies at the limit, and exit with 1 if anything but a refusal came of it."""
    cells = [cell for cell in all_cells() if any(part in str(cell) for part in only.split(","))]
    number, until_s = len(cells), float("inf")
    random.Random(seed).shuffle(cells)  # noqa: S311  # nothing here is secret
    report = Report(seed)
    with new_home() as home:
        declare(home, publish(home / "models", tuple(NUMPY_OF)))
        while cells and time.monotonic() < until_s:
            with serving(home, port) as gateway:  # again, if a cell has ended it
                # The time begins with the first cell: loading all models takes about a minute.
                until_s = min(until_s, time.monotonic() + (_SHORT_S if short else 60 * minutes))
                run(gateway, cells, report, worst_ms, until_s)
    if json_file is not None:
        json_file.write_text(json.dumps({**asdict(report), "worst": report.worst()}, indent=1))
    _show(report, number)
    raise typer.Exit(1 if report.faults else 0)


def _show(report: Report, number: int) -> None:
    worst = report.worst()
    memory = f"{report.before_bytes / 1e6:.0f} MB before, {report.peak_bytes / 1e6:.0f} at most"
    line = f"{len(report.cells)} of {number} cells, seed {report.seed}; health at worst {worst['worst_ms']} ms"
    line += f", {report.quiet_ms} before"
    print(f"\nsizes: {line} ({worst['cell']}); {memory}, {report.after_bytes / 1e6:.0f} after")  # noqa: T201
    for fault in report.faults:
        print(f"  fault: {fault}")  # noqa: T201


if __name__ == "__main__":
    typer.run(main)
