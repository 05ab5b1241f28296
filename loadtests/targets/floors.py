"""The floors of the comparison: servers that only predict, and a loop without a server."""

import sys
from typing import Final

from loadtests.bench.launch import Form, Launch, Loop
from loadtests.bench.setting import Setting

FLOOR: Final = "bare"


def bare(setting: Setting) -> Launch:
    """Return uvicorn with a plain ASGI application."""
    port = setting.port(FLOOR)
    speed = ["--http", "httptools", "--loop", "uvloop", "--no-access-log", "--lifespan", "off"]
    place = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    uvicorn = [sys.executable, "-m", "uvicorn", "loadtests.servers.bare_asgi:application"]
    return Launch(FLOOR, port, [*uvicorn, *place, *speed], setting.peer_env)


def bare_grpc(setting: Setting) -> Launch:
    """Return a grpc.aio server with a plain servicer."""
    port = setting.port("bare-grpc")
    command = [sys.executable, "-m", "loadtests.servers.bare_grpc", str(port)]
    return Launch("bare-grpc", port, command, setting.peer_env, forms=frozenset({Form.GRPC}))


def onnx_loop(setting: Setting) -> Loop:
    """Return ONNX Runtime called in a Python loop."""
    return Loop("onnx-loop", "loadtests.servers.onnx_loop", setting.models)
