"""What is compared: how each server is prepared and started."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.peers import ensure_peer
from loadtests.processes import Launch, StartError, run_quietly
from loadtests.servers.onnx_session import MODEL_FILE_VARIABLE

FOLDER: Final = Path(__file__).parent
REPOSITORY: Final = FOLDER.parent

_PREPARE_LIMIT_S: Final = 300.0
_RAY_START_LIMIT_S: Final = 180.0


@dataclass(frozen=True, slots=True)
class Setting:
    """Where the benchmark keeps its files, which ports it may take, and how it tells what it is doing."""

    work: Path
    home: Path
    base_port: int
    tell: Callable[[str], None]

    @property
    def model(self) -> Path:
        """The model file that every server serves."""
        return self.home / "models" / "cancer" / "2" / "model.onnx"

    @property
    def peer_env(self) -> dict[str, str]:
        """Variables with which the compared servers find the model and this package."""
        return {MODEL_FILE_VARIABLE: str(self.model), "PYTHONPATH": str(REPOSITORY)}


def prepare_home(home: Path, tell: Callable[[str], None]) -> None:
    """Train the demo's models into a home folder, unless they are there."""
    if not (home / "models" / "cancer" / "2" / "model.onnx").exists():
        tell(f"training the demo's models into {home}")
        run_quietly([_pointsman(), "demo", "--prepare", "--home", str(home)], _PREPARE_LIMIT_S)


def _ours(setting: Setting) -> Launch:
    return _gateway("ours", "ray", setting.home, setting.base_port)


def _ours_uvicorn(setting: Setting) -> Launch:
    home = setting.home.with_name(f"{setting.home.name}-uvicorn")
    prepare_home(home, setting.tell)
    return _gateway("ours-uvicorn", "uvicorn", home, setting.base_port + 1)


def _gateway(name: str, engine: str, home: Path, port: int) -> Launch:
    pointsman, place = _pointsman(), ["--port", str(port), "--home", str(home)]
    return Launch(
        name=name,
        port=port,
        command=[pointsman, "serve", "--engine", engine, "--replicas", "1", *place],
        env={"RAY_USAGE_STATS_ENABLED": "0"},
        ready_limit_s=_RAY_START_LIMIT_S,
        after_ready=[pointsman, "shift", "cancer", "canary=0", "--url", f"http://127.0.0.1:{port}"],
    )


def _bare(setting: Setting) -> Launch:
    port = setting.base_port + 2
    speed = ["--http", "httptools", "--loop", "uvloop", "--no-access-log", "--lifespan", "off"]
    place = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    uvicorn = [sys.executable, "-m", "uvicorn", "loadtests.servers.bare_asgi:application"]
    return Launch("bare", port, [*uvicorn, *place, *speed], setting.peer_env)


def _mlserver(setting: Setting) -> Launch:
    """As `mlserver start` runs it if nothing is configured but the address."""
    return _mlserver_in("mlserver", setting, setting.base_port + 3)


def _mlserver_tuned(setting: Setting) -> Launch:
    """The model in the server's own process; metrics, compression and debug logging off."""
    return _mlserver_in("mlserver-tuned", setting, setting.base_port + 7)


def _mlserver_in(name: str, setting: Setting, port: int) -> Launch:
    python = ensure_peer("mlserver", setting.work, setting.tell)
    ports = {"MLSERVER_HTTP_PORT": str(port), "MLSERVER_GRPC_PORT": str(port + 1)}
    command = [str(python.with_name("mlserver")), "start", str(FOLDER / "servers" / name)]
    return Launch(name, port, command, setting.peer_env | ports | {"MLSERVER_METRICS_PORT": str(port + 10)})


def _kserve(setting: Setting) -> Launch:
    """With the options that its model server has by default."""
    return _kserve_with("kserve", setting, setting.base_port + 5, [])


def _kserve_tuned(setting: Setting) -> Launch:
    """Access log and latency log off."""
    quiet = ["--configure_logging", "False", "--enable_latency_logging", "False"]
    return _kserve_with("kserve-tuned", setting, setting.base_port + 6, quiet)


def _kserve_with(name: str, setting: Setting, port: int, extra: list[str]) -> Launch:
    python = ensure_peer("kserve", setting.work, setting.tell)
    options = ["--http_port", str(port), "--workers", "1", "--enable_grpc", "False", *extra]
    command = [str(python), "-m", "loadtests.servers.kserve_server", *options]
    return Launch(name, port, command, setting.peer_env)


def _pointsman() -> str:
    beside = Path(sys.executable).with_name("pointsman")
    command = str(beside) if beside.exists() else shutil.which("pointsman")
    if command is None:
        raise StartError("The pointsman command is not installed; run 'pip install -e .' in the repository.")
    return command


OURS: Final = "ours"
FLOOR: Final = "bare"
BUILDERS: Final[dict[str, Callable[[Setting], Launch]]] = {
    OURS: _ours,
    "ours-uvicorn": _ours_uvicorn,
    FLOOR: _bare,
    "mlserver": _mlserver,
    "mlserver-tuned": _mlserver_tuned,
    "kserve": _kserve,
    "kserve-tuned": _kserve_tuned,
}
DEFAULT_TARGETS: Final = (OURS, FLOOR, "mlserver", "mlserver-tuned", "kserve", "kserve-tuned")
