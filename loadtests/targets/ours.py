"""The gateway: one replica, two replicas, the model in an application of its own, and without Ray."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from loadtests.bench.launch import Form, Launch, StartError
from loadtests.bench.models import WIDE, write_wide
from loadtests.bench.processes import run_quietly
from loadtests.bench.setting import FOLDER, Setting

OURS: Final = "ours"

_PREPARE_LIMIT_S: Final = 300.0
_RAY_START_LIMIT_S: Final = 180.0


def prepare_home(setting: Setting) -> None:
    """Train the demo's models into the home folder and write the model `wide`, unless they exist."""
    if not setting.models["cancer"].exists():
        setting.tell(f"training the demo's models into {setting.home}")
        run_quietly([_pointsman(), "demo", "--prepare", "--home", str(setting.home)], _PREPARE_LIMIT_S)
    write_wide(setting.home / "models")


def ours(setting: Setting) -> Launch:
    """Return one replica on Ray Serve."""
    return _gateway(OURS, setting, "--engine", "ray", "--replicas", "1")


def ours_2(setting: Setting) -> Launch:
    """Return two replicas on Ray Serve that share the port."""
    return _gateway("ours-2", _at_home("2", setting), "--engine", "ray", "--replicas", "2")


def ours_dedicated(setting: Setting) -> Launch:
    """Return one replica on Ray Serve, with the model in a Serve application of its own."""
    launch = _gateway("ours-dedicated", _at_home("dedicated", setting), "--engine", "ray", "--replicas", "1")
    return replace(launch, after_ready=[_apply("cancer-dedicated", launch.port)], models=frozenset({"cancer"}))


def ours_uvicorn(setting: Setting) -> Launch:
    """Return one replica under uvicorn, without Ray."""
    return _gateway("ours-uvicorn", _at_home("uvicorn", setting), "--engine", "uvicorn")


def _at_home(suffix: str, setting: Setting) -> Setting:
    """Return a setting with another home. Two gateways cannot share one."""
    other = replace(setting, home=setting.home.with_name(f"{setting.home.name}-{suffix}"))
    prepare_home(other)
    return other


def _gateway(name: str, setting: Setting, *options: str) -> Launch:
    pointsman, port, grpc_port = _pointsman(), setting.port(name), setting.port(f"{name}-grpc")
    return Launch(
        name=name,
        port=port,
        command=[pointsman, "serve", *options, "--port", str(port), "--home", str(setting.home)],
        env={"RAY_USAGE_STATS_ENABLED": "0", "POINTSMAN_GRPC_PORT": str(grpc_port)},
        ready_limit_s=_RAY_START_LIMIT_S,
        after_ready=[
            [pointsman, "shift", "cancer", "canary=0", *_at(port)],
            _apply(WIDE, port),
        ],
        forms=frozenset(Form),
        models=frozenset({"cancer", WIDE}),
        grpc_port=grpc_port,
    )


def _apply(route: str, port: int) -> list[str]:
    """Return the command that declares a route from the folder `routes`."""
    return [_pointsman(), "apply", "-f", str(FOLDER / "routes" / f"{route}.yaml"), *_at(port)]


def _at(port: int) -> list[str]:
    return ["--url", f"http://127.0.0.1:{port}"]


def _pointsman() -> str:
    beside = Path(sys.executable).with_name("pointsman")
    command = str(beside) if beside.exists() else shutil.which("pointsman")
    if command is None:
        raise StartError("The pointsman command is not installed; run 'pip install -e .' in the repository.")
    return command
