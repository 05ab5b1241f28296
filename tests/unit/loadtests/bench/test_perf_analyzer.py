"""perf_analyzer: its command, and how its report is read."""

import math
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from loadtests.bench import perf_analyzer
from loadtests.bench.launch import Form, StartError
from loadtests.bench.peers import REQUIREMENTS
from loadtests.bench.perf_analyzer import PerfAnalyzer
from loadtests.bench.scenarios import Kind, Scenario

REPORT = """Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,\
Server Compute Infer,Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency
32,2000,4,393,14916,15,342,122,1,15742,16634,16979,19704
"""
OUTPUT = "Request concurrency: 32\n  Client: \n    Request count: 6000\n    Throughput: 2000 infer/sec\n"
TOOL = PerfAnalyzer(Path("perf_analyzer"), {})


def scenario(rate_per_s: int | None) -> Scenario:
    kind = Kind.OPEN if rate_per_s else Kind.CLOSED
    return Scenario("g", "grpc", kind, "s", 32, 1, rate_per_s=rate_per_s, form=Form.GRPC, duration_s=3)


def test_report_becomes_a_sample_without_a_highest_latency() -> None:
    sample = perf_analyzer.parse(REPORT, OUTPUT)
    assert (sample.requests, sample.duration_s, sample.rate_per_s) == (6000, 3.0, 2000)
    assert (sample.p50_us, sample.p90_us, sample.p99_us) == (15742, 16634, 19704)
    assert math.isnan(sample.max_us)
    assert sample.failed == 0


@pytest.mark.parametrize(("report", "output"), [("", OUTPUT), (REPORT, ""), (REPORT.splitlines()[0], OUTPUT)])
def test_report_without_figures_is_refused(report: str, output: str) -> None:
    with pytest.raises(ValueError, match="reported nothing"):
        perf_analyzer.parse(report, output)


@pytest.mark.parametrize(("rate_per_s", "load"), [(None, "--concurrency-range=32"), (500, "--request-rate-range=500")])
def test_load_is_by_concurrency_or_by_rate(rate_per_s: int | None, load: str) -> None:
    command = perf_analyzer.command(
        TOOL, scenario(rate_per_s), "127.0.0.1:1", [1, 30], Path("data"), Path("report.csv")
    )
    assert load in command
    assert command[command.index("-u") + 1] == "127.0.0.1:1"
    assert command[command.index("--shape") + 1] == "X:1,30"


def test_time_of_a_load_is_shared_out_to_the_windows() -> None:
    command = perf_analyzer.command(TOOL, scenario(None), "127.0.0.1:1", [1, 30], Path("data"), Path("report.csv"))
    assert int(command[command.index("-p") + 1]) * int(command[command.index("-r") + 1]) == 3000


def test_only_the_program_and_its_library_are_unpacked_and_can_be_run(tmp_path: Path) -> None:
    wheel = tmp_path / "t.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("t.data/data/bin/perf_analyzer", "program")
        archive.writestr("nvidia/cuda_runtime/lib/libcudart.so.12", "library")
        archive.writestr("t/__init__.py", "")
    perf_analyzer.unpack(wheel, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["libcudart.so.12", "perf_analyzer", "t.whl"]
    assert (tmp_path / "perf_analyzer").stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("#!/bin/sh\necho 'libb64.so.0d: cannot open shared object file' >&2; exit 127\n", "apt-get install libb64-0d"),
        ("#!/bin/sh\necho 'no such library' >&2; exit 127\n", "no such library"),
        ("\x7fELF of another machine", "does not run on this machine"),
    ],
)
def test_program_that_does_not_start_is_refused_with_the_reason(tmp_path: Path, script: str, sentence: str) -> None:
    folder = tmp_path / "perf-analyzer"
    folder.mkdir()
    program = folder / "perf_analyzer"
    program.write_text(script)
    program.chmod(0o755)
    (folder / ".complete").write_text(
        sha256(REQUIREMENTS.joinpath("requirements-perf-analyzer.txt").read_bytes()).hexdigest()
    )
    with pytest.raises(StartError, match=sentence):
        perf_analyzer.ensure(tmp_path, lambda _: None)
