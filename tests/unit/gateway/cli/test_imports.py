"""Help and the commands that ask the HTTP API load no code of the server, so that they begin at once."""

import subprocess
import sys

import pytest

_PROGRAM = """
import sys
from gateway.cli.main import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print("loaded:", *sys.modules)
"""
_LIBRARIES = frozenset({
    "anyio", "boto3", "botocore", "duckdb", "fastapi", "google", "growthbook", "grpc", "httptools", "httpx", "msgspec",
    "numpy", "onnxruntime", "opentelemetry", "prometheus_client", "pyarrow", "pydantic_settings", "ray", "redis",
    "scipy", "skl2onnx", "sklearn", "skops", "sqlite3", "starlette", "structlog", "uvicorn", "uvloop", "yaml",
})  # fmt: skip
_ROOMS = (
    "gateway.access.api_keys", "gateway.access.browser", "gateway.access.guard", "gateway.api", "gateway.control",
    "gateway.eventloop", "gateway.execution", "gateway.grpc", "gateway.http", "gateway.inference", "gateway.protocols",
    "gateway.replica", "gateway.settings", "gateway.telemetry", "inference_log.query", "registry_sync.catalogue",
    "registry_sync.version", "runtimes.load", "store.sqlite", "store.redis", "store.interface",
)  # fmt: skip


def modules_loaded_by(*arguments: str) -> set[str]:
    command = [sys.executable, "-c", _PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("loaded: ")[2].split())


def needless(modules: set[str]) -> set[str]:
    return {each for each in modules if each.partition(".")[0] in _LIBRARIES or each.startswith(_ROOMS)}


def test_help_loads_no_code_of_the_server():
    modules = modules_loaded_by("--help")
    assert needless(modules) == set()
    assert "pydantic" not in modules


@pytest.mark.parametrize("command", ["serve", "demo", "apply", "diff", "status", "shift", "history", "keys", "models"])
def test_help_of_a_command_loads_no_code_of_the_server(command):
    assert needless(modules_loaded_by(command, "--help")) == set()


# Typer itself loads pydantic, to parse the arguments of any command.
@pytest.mark.parametrize("arguments", [("status",), ("status", "--route", "plain"), ("history",), ("models",)])
def test_a_command_that_shows_loads_no_code_of_the_server(gateway, arguments):
    assert needless(modules_loaded_by(*arguments, "--url", f"http://127.0.0.1:{gateway.port}")) == set()


def test_a_command_that_changes_loads_no_code_of_the_server(gateway, rolled):
    url = f"http://127.0.0.1:{gateway.port}"
    assert needless(modules_loaded_by("start", rolled, "--url", url)) == set()
    assert needless(modules_loaded_by("shift", rolled, "canary=5", "--url", url)) == set()


@pytest.mark.parametrize("command", ["log", "models"])
def test_help_of_a_group_loads_no_code_of_the_server(command):
    assert needless(modules_loaded_by(command, "--help")) == set()


@pytest.mark.parametrize("command", ["add", "validate", "list", "show", "alias"])
def test_help_of_a_command_for_models_loads_no_code_of_the_runtimes(command):
    assert needless(modules_loaded_by("models", command, "--help")) == set()
