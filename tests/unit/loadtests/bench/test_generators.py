"""The commands of the load generators, and loads that fail."""

from pathlib import Path

import pytest

from loadtests.bench import generators
from loadtests.bench.figures import Sample, lost
from loadtests.bench.generators import GeneratorMissingError, Generators, closed_command, loop_command, open_command
from loadtests.bench.launch import Form, Loop
from loadtests.bench.request_files import Request
from loadtests.bench.runner import falls_behind
from loadtests.bench.scenarios import Kind, Scenario
from loadtests.bench.setting import Setting

CLOSED = Scenario("c", "http", Kind.CLOSED, "s", connections=32, warmup_s=1, duration_s=3, threads=2)
OPEN = Scenario("o", "http", Kind.OPEN, "s", connections=100, warmup_s=1, rate_per_s=500, duration_s=3)
JSON = Request(Path("body"), 10, {"content-type": "application/json"})
BINARY = Request(Path("body"), 10, {"content-type": "application/octet-stream"}, json_bytes=7)
URL = "http://127.0.0.1:1/v2/models/cancer/infer"


def test_closed_loop_is_wrk_with_the_body_after_the_url() -> None:
    command = closed_command(CLOSED, URL, JSON)
    assert command[:4] == ["wrk", "--threads=2", "--connections=32", "--duration=3s"]
    assert command[-3:] == [URL, "--", "body"]


def test_wrk_learns_how_long_the_json_header_of_a_binary_body_is() -> None:
    assert closed_command(CLOSED, URL, BINARY)[-2:] == ["body", "7"]


def test_open_loop_plans_the_same_number_of_requests_on_every_connection() -> None:
    command = open_command(OPEN, URL, JSON, Path("log"))
    assert {"--requests=1500", "--clients=100", "--rps=5.0", "--header=content-type: application/json"} <= set(command)


def test_loop_without_a_server_gets_the_models_file_and_the_rows() -> None:
    loop = Loop("onnx-loop", "loadtests.servers.onnx_loop", {"cancer": Path("model.onnx")})
    assert loop_command(CLOSED, loop)[1:] == ["-m", "loadtests.servers.onnx_loop", "cancer", "model.onnx", "1", "3"]


def test_missing_tool_is_named_with_the_package_that_holds_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(generators.shutil, "which", lambda _: None)
    setting = Setting(tmp_path, tmp_path, 1, lambda _: None)
    with pytest.raises(GeneratorMissingError, match="apt-get install nghttp2-client"):
        generators.require_tools([OPEN], setting)


def test_load_that_ends_with_an_error_counts_as_one_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(generators, "loop_command", lambda *_: ["false"])
    loop = Loop("onnx-loop", "m", {"cancer": Path("model.onnx")}, frozenset({Form.JSON}))
    log = tmp_path / "log"
    assert Generators(None).load(CLOSED, loop, JSON, log).failures == {"generator": 1}
    assert "returned non-zero exit status 1" in log.read_text()


@pytest.mark.parametrize(
    ("sample", "behind"),
    [
        (Sample(500, 1.0, 1, 1, 1, 1), False),
        (Sample(500, 2.5, 1, 1, 1, 1), True),
        (lost("unfinished"), True),
        (lost("generator"), False),
        (Sample(500, 1.0, 1, 1, 1, 1, {"status": 500}), False),
    ],
)
def test_server_falls_behind_only_by_being_slow(sample: Sample, behind: bool) -> None:
    assert falls_behind(sample, 500) is behind
