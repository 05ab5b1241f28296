"""NVIDIA's perf_analyzer, which reads metadata, configuration and statistics before it infers."""

import subprocess

import pytest

from loadtests.bench import perf_analyzer
from loadtests.bench.launch import StartError
from tests.conformance.environments import CLIENTS, alone
from tests.conformance.foreign import Foreign
from tests.support.components import missing

_LIMIT_S = 240


@pytest.fixture(scope="session")
def tool() -> perf_analyzer.PerfAnalyzer:
    try:
        with alone():
            return perf_analyzer.ensure(CLIENTS, print)
    except StartError as error:
        missing(str(error))


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_it_measures_and_no_request_fails(tool, gateway, foreign, tmp_path, protocol):
    address = gateway.http if protocol == "http" else gateway.grpc
    report = tmp_path / "report.csv"
    before = failures(foreign("triton_http"))
    load = ["--concurrency-range", "4", "-p", "500", "-r", "3", "-s", "999"]
    command = [tool.program, "-m", "rows-fp64", "-i", protocol, "-u", address, "-f", report, *load]
    done = subprocess.run(command, env=tool.env, capture_output=True, text=True, check=False, timeout=_LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    sample = perf_analyzer.parse(report.read_text(), done.stdout)
    assert sample.requests > 0
    assert sample.duration_s > 0
    assert failures(foreign("triton_http")) == before


def failures(client: Foreign) -> int:
    (stats,) = client.describe("get_inference_statistics", "rows-fp64")["model_stats"]
    count: int = stats["inference_stats"]["fail"]["count"]
    return count
