"""NVIDIA's perf_analyzer, which puts load on gRPC servers: download it, build its command, and read its report.

Its program is in an old wheel of tritonclient, which is unpacked into the work folder and not installed.
"""

import csv
import math
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from loadtests.bench.figures import Sample
from loadtests.bench.launch import StartError
from loadtests.bench.peers import REQUIREMENTS
from loadtests.bench.scenarios import Scenario

WINDOWS: Final = 3
"""It measures in windows, at least three, and reports on all of them together."""

_REQUIREMENTS: Final = REQUIREMENTS / "requirements-perf-analyzer.txt"
_MEMBERS: Final = ("/bin/perf_analyzer", "/lib/libcudart.so.12")
_COMPLETE: Final = ".complete"
_EXECUTABLE: Final = 0o755
_DOWNLOAD_LIMIT_S: Final = 600
_ANY_DEVIATION: Final = "1000000"
"""Percent by which windows may differ. It reports nothing if they differ by more."""

_REQUEST_COUNT: Final = re.compile(r"Request count: (\d+)")


@dataclass(frozen=True, slots=True)
class PerfAnalyzer:
    """The program, and the environment variables with which it finds its libraries."""

    program: Path
    env: dict[str, str]


def ensure(work: Path, tell: Callable[[str], None]) -> PerfAnalyzer:
    """Return the program. Download it first if it is missing or out of date.

    Raises:
        StartError: it could not be downloaded, or a library of the system is missing.
    """
    folder = work / "perf-analyzer"
    digest, complete = sha256(_REQUIREMENTS.read_bytes()).hexdigest(), folder / _COMPLETE
    if not complete.exists() or complete.read_text() != digest:
        tell("downloading perf_analyzer (once)")
        _download(folder)
        complete.write_text(digest)
    tool = PerfAnalyzer(folder / "perf_analyzer", {**os.environ, "LD_LIBRARY_PATH": str(folder)})
    _try(tool)
    return tool


def command(
    tool: PerfAnalyzer, scenario: Scenario, address: str, shape: Sequence[int], data: Path, report: Path
) -> list[str]:
    """Return the command for one load: a number of concurrent requests, or of requests per second, evenly spaced.

    `shape` is the shape of one request's input in the server's configuration, with or without the number of rows.
    """
    rate = scenario.rate_per_s
    load = f"--request-rate-range={rate}" if rate else f"--concurrency-range={scenario.connections}"
    window_ms = scenario.duration_s * 1000 // WINDOWS
    tensor = ["--input-data", str(data), "--shape", f"X:{','.join(map(str, shape))}"]
    places = ["-m", scenario.model, "-i", "grpc", "-u", address, *tensor, "-f", str(report)]
    windows = ["-p", str(window_ms), "-r", str(WINDOWS), "-s", _ANY_DEVIATION]
    return [str(tool.program), *places, "--async", load, *windows]


def parse(report: str, output: str) -> Sample:
    """Read its report (CSV), and the number of requests, which it only prints.

    It ends at the first request that fails, so a report means that none failed. It reports no highest latency.

    Raises:
        ValueError: the report has no figures.
    """
    rows, counted = list(csv.DictReader(report.splitlines())), _REQUEST_COUNT.search(output)
    if not rows or not counted:
        raise ValueError("perf_analyzer reported nothing; read its log.")
    row, requests = rows[-1], int(counted[1])
    return Sample(
        requests=requests,
        duration_s=requests / float(row["Inferences/Second"]),
        p50_us=float(row["p50 latency"]),
        p90_us=float(row["p90 latency"]),
        p99_us=float(row["p99 latency"]),
        max_us=math.nan,
    )


def _try(tool: PerfAnalyzer) -> None:
    """Start it once, so that a missing library is reported before servers are started."""
    command = [str(tool.program), "--version"]
    try:
        done = subprocess.run(command, env=tool.env, capture_output=True, text=True, check=False)  # noqa: S603  # downloaded
    except OSError as error:
        raise StartError(f"perf_analyzer does not run on this machine: {error.strerror}.") from error
    if "libb64" in done.stderr:
        raise StartError("Install libb64 for perf_analyzer: apt-get install libb64-0d (Debian, Ubuntu).")
    if done.returncode:
        raise StartError(f"perf_analyzer does not start: {done.stderr.strip()}")


def _download(folder: Path) -> None:
    wheels = folder / "wheels"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels)]
    try:
        subprocess.run(  # noqa: S603  # arguments of this module
            [*pip, "--requirement", str(_REQUIREMENTS)],
            capture_output=True,
            text=True,
            check=True,
            timeout=_DOWNLOAD_LIMIT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise StartError(
            f"The download of perf_analyzer took over {_DOWNLOAD_LIMIT_S} s; check the network."
        ) from error
    except subprocess.CalledProcessError as error:
        raise StartError(f"perf_analyzer could not be downloaded: {error.stderr.strip()[-200:]}") from error
    for wheel in wheels.glob("*.whl"):
        unpack(wheel, folder)


def unpack(wheel: Path, folder: Path) -> None:
    """Write the program and its library from a wheel into a folder."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            if member.endswith(_MEMBERS):
                file = folder / Path(member).name
                file.write_bytes(archive.read(member))
                file.chmod(_EXECUTABLE)
