"""Facts about the machine and its packages, without which a figure means little."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from loadtests.bench.peers import PEERS

_PACKAGES: Final = (
    "pointsman",
    "ray",
    "fastapi",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "pydantic",
    "msgspec",
    "orjson",
    "numpy",
    "onnxruntime",
    "mlserver",
    "kserve",
    "bentoml",
    "litserve",
    "nvidia-pytriton",
    "grpcio",
)
_TOOLS: Final = {"wrk": "--version", "h2load": "--version"}
_CPU_INFO: Final = Path("/proc/cpuinfo")
_LIST_VERSIONS: Final = (
    "import json, importlib.metadata as m; "
    "print(json.dumps({d.metadata['Name'].lower(): d.version for d in m.distributions()}))"
)


def environment_facts(work: Path, load_average: tuple[float, float, float]) -> dict[str, Any]:
    """Return facts about the machine, and the relevant package versions of this environment and of the peers'."""
    return {
        "cpu_count": os.cpu_count(),
        "cpu_model": _cpu_model(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average_at_start": list(load_average),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: number for name in _PACKAGES if (number := _own_version(name))},
        "peer_packages": {peer: _peer_versions(work / peer / "bin" / "python") for peer in PEERS},
        "generators": {tool: _first_line([tool, flag]) for tool, flag in _TOOLS.items()},
    }


def _cpu_model() -> str:
    lines = _CPU_INFO.read_text().splitlines() if _CPU_INFO.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _own_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _peer_versions(python: Path) -> dict[str, str]:
    if not python.exists():
        return {}
    done = subprocess.run([str(python), "-c", _LIST_VERSIONS], capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        return {}
    versions = msgspec.json.decode(done.stdout, type=dict[str, str])
    return {name: number for name, number in versions.items() if name in _PACKAGES}


def _first_line(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return None
    return (done.stdout or done.stderr).partition("\n")[0].strip()
