"""The soak tests of `loadtests/soak` in their short forms. `make soak` runs them in full."""

import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
LIMIT_S = 280


def two_ports() -> int:
    """Return a free port with a free one above it."""
    while True:
        port = free_port()
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port + 1))
            return port


def run(tmp_path: Path, name: str, *options: str) -> dict[str, Any]:
    """Run one of them on free ports. Return its figures."""
    figures = tmp_path / "figures.json"
    port = two_ports()
    command = [sys.executable, "-m", f"loadtests.soak.{name}", "--port", str(port), "--json", str(figures), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert figures.exists(), done.stdout + done.stderr
    found: dict[str, Any] = json.loads(figures.read_text())
    print(done.stdout)  # noqa: T201  # shown if it fails, or with -s
    return found


OVER_HTTP = " json, binary, v1"


@pytest.mark.parametrize(
    "only",
    [
        # The time is that of a busy machine: what takes longer ends the process (WEDGED_AFTER_S).
        pytest.param(OVER_HTTP, id="http"),
        pytest.param(" grpc", id="grpc"),
    ],
)
def test_bodies_at_the_limit_end_no_process_and_the_memory_returns(tmp_path, only):
    found = run(tmp_path, "sizes", "--short", "--only", only, "--worst-ms", "4500", "--seed", "5")
    assert found["faults"] == []
    assert len(found["cells"]) > 0


def test_half_open_connections_are_closed_within_their_limits(tmp_path):
    found = run(tmp_path, "half_open", "--short", "--connections", "400", "--uploads", "20")
    assert [each["closed"] for each in found["kinds"]] == [each["of"] for each in found["kinds"]]
    for over_one_port in found["uploads"]:
        assert over_one_port["refused_before_the_body"] == over_one_port["of"]
        assert over_one_port["growth_mb"] < 64


def test_of_many_requests_each_is_one_row_and_the_memory_is_flat(tmp_path):
    found = run(tmp_path, "million", "--requests", "20000")
    assert found["faults"] == []
    assert found["rows"] == found["answered"] > 19_000
