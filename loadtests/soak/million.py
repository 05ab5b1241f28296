"""A million requests of all kinds. The memory stays flat, and each answered request is one row of the log.

`python -m loadtests.soak.million` takes about five minutes; `--requests` makes it shorter.
"""

import json
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

from inference_log.files.directory import DirectoryFiles
from inference_log.query import run_query
from loadtests.soak.counts import Counts
from loadtests.soak.gateway import Gateway, declare, new_home, serving
from loadtests.soak.models import publish
from loadtests.soak.prober import Prober, probing
from loadtests.soak.traffic import guarded, run_grpc, run_large, run_refused, run_small

REQUESTS: Final = 1_000_000
LARGE_EVERY: Final = 5_000
"""Requests for one body of 16 MB, and one upload that breaks off."""
REFUSED_EVERY: Final = 10_000
"""Requests for a pipeline of refused ones."""
WARM_UP: Final = 0.3
"""The share of the requests after which the memory must be flat."""
MOST_SLOPE_BYTES: Final = 60 * 1024**2
"""Growth over the rest of the run, as the line through all samples says."""
_SAMPLE_S: Final = 0.5
_LIMIT_S: Final = 3600.0
_ROWS: Final = "SELECT count(*), count(DISTINCT request_id) FROM inferences WHERE request_id LIKE 'm-%'"
_LOST: Final = """SELECT coalesce(sum(lost), 0)::BIGINT FROM (
    SELECT max(writer_seq) - min(writer_seq) + 1 - count(DISTINCT writer_seq) AS lost
    FROM inferences GROUP BY writer_id)"""


@dataclass(slots=True)
class Report:
    """What was seen. `faults` is empty if all is well. A sample is the requests that are done, and the memory."""

    requests: int
    seconds: float = 0.0
    answered: int = 0
    refused: int = 0
    broken_off: int = 0
    large: int = 0
    rows: int = 0
    rows_counted_once: int = 0
    rows_lost: int = 0
    worst_ms: float = 0.0
    slope_mb: float = 0.0
    growth_mb: float = 0.0
    peak_mb: float = 0.0
    end_s: float = 0.0
    samples: list[tuple[int, int]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def run(gateway: Gateway, prober: Prober, report: Report) -> Counts:
    """Send all requests, and sample the memory meanwhile."""
    counts = Counts(report.requests)
    work = [(run_small, gateway.port)] * 2 + [(run_grpc, gateway.grpc_port)]
    threads = [threading.Thread(target=guarded(each), args=(port, counts), daemon=True) for each, port in work]
    threads.append(threading.Thread(target=_others, args=(gateway, counts, threads[:]), daemon=True))
    began_s = time.monotonic()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) and time.monotonic() < began_s + _LIMIT_S and gateway.is_alive:
        report.samples.append((counts.done, gateway.resident_bytes()))
        _tell(f"{counts.done:,} of {report.requests:,}, {report.samples[-1][1] / 1e6:.0f} MB")
        time.sleep(_SAMPLE_S)
    report.seconds = round(time.monotonic() - began_s, 1)
    report.worst_ms = round(1e3 * prober.worst().both_s, 1) if gateway.is_alive else float("inf")
    return counts


def _others(gateway: Gateway, counts: Counts, small: list[threading.Thread]) -> None:
    """Send large, broken-off and refused requests each time that so many others are done."""
    large = refused = 0
    while any(thread.is_alive() for thread in small):
        if counts.done >= large:
            large += LARGE_EVERY
            guarded(run_large)(gateway.port, counts)
        elif counts.done >= refused:
            refused += REFUSED_EVERY
            guarded(run_refused)(gateway.port, counts)
        else:
            time.sleep(_SAMPLE_S / 10)


def judge(report: Report, counts: Counts, exit_code: int, home: Path) -> None:
    """Fill in what was counted, look at the log, and note what is wrong."""
    for name in ("answered", "refused", "broken_off", "large"):
        setattr(report, name, getattr(counts, name))
    report.faults += counts.faults
    if exit_code:
        report.faults.append(f"The process ended with {exit_code}.")
    if counts.done < report.requests:
        report.faults.append(f"{report.requests - counts.done:,} requests were not answered.")
    _judge_memory(report)
    report.rows, report.rows_counted_once = _only_row(home, _ROWS)
    report.rows_lost = _only_row(home, _LOST)[0]
    if not report.rows == report.rows_counted_once == report.answered or report.rows_lost:
        sentence = f"{report.answered:,} requests, {report.rows:,} rows, {report.rows_counted_once:,} of them different"
        report.faults.append(f"{sentence}, {report.rows_lost:,} lost")


def _only_row(home: Path, sql: str) -> Any:
    return run_query(DirectoryFiles(home / "log"), home / "spool", sql)[1][0]


def _judge_memory(report: Report) -> None:
    done, resident = np.array(report.samples, float).T
    flat = done > WARM_UP * report.requests
    report.peak_mb = round(float(resident.max()) / 1e6)
    if flat.sum() < 10:  # too few for a line
        return
    share = done[flat] / report.requests
    slope = float(np.polyfit(share, resident[flat], 1)[0]) * (1 - WARM_UP)
    third = max(int(flat.sum()) // 3, 1)
    growth = float(np.median(resident[flat][-third:]) - np.median(resident[flat][:third]))
    report.slope_mb, report.growth_mb = round(slope / 1e6), round(growth / 1e6)
    if max(min(slope, growth), 0) > MOST_SLOPE_BYTES:
        report.faults.append(f"The memory grows by {slope / 1e6:.0f} MB after the warm-up.")


def _tell(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)  # noqa: T201


def main(
    requests: Annotated[int, typer.Option(help="Requests in all.")] = REQUESTS,
    port: Annotated[int, typer.Option(help="HTTP is here, gRPC one above.")] = 8824,
    home: Annotated[Path | None, typer.Option(help="Keep the gateway's files in this new folder.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
) -> None:
    """Send the requests, and exit with 1 if the memory grows, a row is missing, or a request failed."""
    report = Report(requests)
    with new_home(home) as folder:
        declare(folder, publish(folder / "models", ("FP32",)))
        with serving(folder, port) as gateway:
            with probing(gateway.port, gateway.grpc_port) as prober:
                counts = run(gateway, prober, report)
            began_s = time.monotonic()
            exit_code = gateway.end()
            report.end_s = round(time.monotonic() - began_s, 1)
        judge(report, counts, exit_code, folder)
    shown = {name: value for name, value in asdict(report).items() if name not in ("samples", "faults")}
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(report), indent=1))
    print(f"\nmillion: {shown}")  # noqa: T201
    for fault in report.faults[:20]:
        print(f"  fault: {fault}")  # noqa: T201
    raise typer.Exit(1 if report.faults else 0)


if __name__ == "__main__":
    typer.run(main)
