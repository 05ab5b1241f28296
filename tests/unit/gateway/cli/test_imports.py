"""Help and the commands that ask the HTTP API load no code of the server, so that they begin at once."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

_PROGRAM = """
import json, os, sys
from gateway.cli.main import main
for line in sys.stdin:
    if (child := os.fork()) == 0:
        sys.argv[1:] = json.loads(line)
        try:
            main()
        except SystemExit as ended:
            if ended.code:
                os._exit(1)
        print("loaded:", *sys.modules, flush=True)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print("ended:", status, flush=True)
"""
"""Loads what every command loads, and forks for each command: to load it anew takes most of the time of a command."""
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


class Commands:
    """Runs commands, each in a process of its own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def modules_loaded_by(self, *arguments: str) -> set[str]:
        """Return the modules that are loaded when a command has succeeded."""
        self.process.stdin.write(json.dumps(arguments) + "\n")
        self.process.stdin.flush()
        printed = []
        while not (printed and printed[-1].startswith("ended: ")):
            printed.append(self.process.stdout.readline())
            assert printed[-1], "the process has ended"
        *_, loaded, ended = printed
        assert ended == "ended: 0\n", printed
        return set(loaded.removeprefix("loaded: ").split())


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    made = Commands()
    with made.process:
        yield made
        made.process.stdin.close()


def needless(modules: set[str]) -> set[str]:
    return {each for each in modules if each.partition(".")[0] in _LIBRARIES or each.startswith(_ROOMS)}


def test_help_loads_no_code_of_the_server(commands):
    modules = commands.modules_loaded_by("--help")
    assert needless(modules) == set()
    assert "pydantic" not in modules


@pytest.mark.parametrize(
    "command", ["serve", "demo", "apply", "diff", "status", "shift", "history", "keys", "models", "replay", "simulate"]
)
def test_help_of_a_command_loads_no_code_of_the_server(commands, command):
    assert needless(commands.modules_loaded_by(command, "--help")) == set()


# Typer itself loads pydantic, to parse the arguments of any command.
@pytest.mark.parametrize("arguments", [("status",), ("status", "--route", "plain"), ("history",), ("models",)])
def test_a_command_that_shows_loads_no_code_of_the_server(commands, gateway, arguments):
    assert needless(commands.modules_loaded_by(*arguments, "--url", f"http://127.0.0.1:{gateway.port}")) == set()


def test_a_command_that_changes_loads_no_code_of_the_server(commands, gateway, rolled):
    url = f"http://127.0.0.1:{gateway.port}"
    assert needless(commands.modules_loaded_by("start", rolled, "--url", url)) == set()
    assert needless(commands.modules_loaded_by("shift", rolled, "canary=5", "--url", url)) == set()


@pytest.mark.parametrize("command", ["log", "models"])
def test_help_of_a_group_loads_no_code_of_the_server(commands, command):
    assert needless(commands.modules_loaded_by(command, "--help")) == set()


@pytest.mark.parametrize("command", ["add", "validate", "list", "show", "alias"])
def test_help_of_a_command_for_models_loads_no_code_of_the_runtimes(commands, command):
    assert needless(commands.modules_loaded_by("models", command, "--help")) == set()
