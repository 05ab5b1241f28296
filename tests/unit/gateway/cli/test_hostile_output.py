"""What a terminal, a pipe or a stranger may do to a command: no escape sequence gets out, and no traceback."""

import itertools
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.support.components import by_hand
from tests.unit.gateway.cli.support import refused

ESCAPE = "\x1b]0;owned\x07\x1b[2J\nfake line\r\u202e"
MAIN = "from gateway.cli.main import main; main()"


def test_no_reason_name_or_id_moves_the_cursor_or_begins_a_line(here, rolled, gateway):
    assert here("start", rolled).exit_code == 0
    assert here("abort", rolled, "--why", ESCAPE).exit_code == 0
    outputs = [
        here("history", rolled), here("history"), here("status"), here("status", "--route", rolled),
        here("start", rolled), here("get", rolled), here("release", rolled, ESCAPE),
        here("shift", rolled, f"{ESCAPE}=5"),
    ]  # fmt: skip
    for result in outputs:
        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(result.output), result.args
        assert "\nfake line" not in result.output
    assert any("\\x1b" in result.output for result in outputs)


@pytest.fixture
def stranger():
    """Yield the URL of a JSON service whose answers have the main keys of a gateway's, and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = b'{"replicas": [{"x": 1}], "routes": [1], "route": "r", "status": "ok"}'
            if self.path.partition("?")[0] in ("/api/routes", "/api/audit", "/api/models", "/api/replicas"):
                content = b'[{"route": "r", "version": "x", "model": {}, "replica": 1}]'
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "command",
    [
        ("status",), ("status", "--route", "r"), ("history",), ("history", "r"), ("models",), ("get",), ("get", "r"),
        ("start", "r"), ("shift", "r", "a=5"), ("abort", "r"), ("restore",), ("diff", "-f", "FILE"),
        ("apply", "-f", "FILE"),
    ],
)  # fmt: skip
def test_another_service_at_the_address_is_said_to_be_one(run, stranger, tmp_path, command):
    path = tmp_path / "r.yaml"
    path.write_text("route: r\narms: {a: 'linear:1'}\nsplit: {a: 100%}\n")
    result = run(*[path if each == "FILE" else each for each in command], "--url", stranger)
    assert "is no gateway" in refused(result, exit_code=2 if command[0] == "diff" else 1)


COMMANDS = ("status", "history", "get", "models --json")
OF_STDOUT, OF_STDERR = (">&-", "| true", ">/dev/full"), ("2>&-", ">&- 2>&-")
"""All commands write errors to stderr in one way: what `status` shows of it, the others repeat."""


@pytest.mark.parametrize(
    ("command", "redirection"),
    [
        *itertools.product(COMMANDS, OF_STDOUT),
        *itertools.product(("status",), OF_STDERR),
        *itertools.starmap(by_hand, itertools.product(COMMANDS[1:], OF_STDERR)),
    ],
)
def test_a_closed_output_is_no_traceback(gateway, command, redirection, tmp_path):
    environ = {**os.environ, "POINTSMAN_URL": f"http://127.0.0.1:{gateway.port}", "POINTSMAN_HOME": str(tmp_path)}
    shell = f"{sys.executable} -c '{MAIN}' {command} {redirection}"
    done = subprocess.run(["bash", "-c", shell], env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_an_empty_url_in_the_environment_is_said(run, monkeypatch):
    monkeypatch.setenv("POINTSMAN_URL", "")
    assert "POINTSMAN_URL is empty. Unset it" in refused(run("status"))
    assert "No gateway answers at http://127.0.0.1:9" in refused(run("status", "--url", "http://127.0.0.1:9"))
