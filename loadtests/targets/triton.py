"""Triton: its C++ front end with the Python backend, from the wheel of nvidia-pytriton.

The wheel has no ONNX Runtime backend. So a model of the Python backend runs the file with the same session as all
other servers.
"""

import os
import shutil
import sysconfig
from ctypes.util import find_library
from pathlib import Path
from typing import Final

from loadtests.bench.launch import Form, Launch, StartError
from loadtests.bench.models import WIDE, WIDE_COLUMNS
from loadtests.bench.peers import ensure_peer
from loadtests.bench.setting import FOLDER, Setting

_PYTHON: Final = sysconfig.get_python_version()
_STUB: Final = "triton_python_backend_stub"
_EXECUTABLE: Final = 0o755

_CONFIG: Final = """\
name: "{name}"
backend: "python"
max_batch_size: 0
input [ {{ name: "X" data_type: TYPE_FP32 dims: [ -1, {columns} ] }} ]
output [ {outputs} ]
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
parameters [ {{ key: "file" value: {{ string_value: "{file}" }} }} ]
"""
_COLUMNS: Final = {"cancer": 30, WIDE: WIDE_COLUMNS}
_OUTPUTS: Final = {
    "cancer": '{ name: "label" data_type: TYPE_INT64 dims: [ -1 ] }, '
    '{ name: "probabilities" data_type: TYPE_FP32 dims: [ -1, 2 ] }',
    WIDE: '{ name: "mean" data_type: TYPE_FP32 dims: [ -1, 1 ] }',
}


def triton(setting: Setting) -> Launch:
    """Return Triton with one instance of each model, without metrics, logging only warnings and errors."""
    python = ensure_peer("triton", setting.work, setting.tell)
    bundle = _bundle(python)
    repository = _write_repository(setting.work / "triton-models", setting.models)
    http_port, grpc_port = setting.port("triton"), setting.port("triton-grpc")
    places = ["--http-address=127.0.0.1", f"--http-port={http_port}", "--grpc-address=127.0.0.1"]
    command = [
        str(bundle / "bin" / "tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={bundle / 'backends'}",
        *places,
        f"--grpc-port={grpc_port}",
        "--allow-metrics=false",
        "--disable-auto-complete-config",
        "--log-info=false",
    ]
    return Launch(
        "triton",
        http_port,
        command,
        # The backend's interpreter ignores PYTHONPATH. It uses the environment whose Python is first on PATH.
        {"PATH": f"{python.parent}:{os.environ['PATH']}", "LD_LIBRARY_PATH": _python_library_folder()},
        forms=frozenset(Form),
        models=frozenset(setting.models),
        grpc_port=grpc_port,
    )


def config(name: str, file: Path) -> str:
    """Return Triton's configuration of a model."""
    return _CONFIG.format(name=name, columns=_COLUMNS[name], outputs=_OUTPUTS[name], file=file)


def _bundle(python: Path) -> Path:
    """Return the server's folder in the environment, after copying the backend's stub to where it is looked up."""
    bundle = python.parents[1] / "lib" / f"python{_PYTHON}" / "site-packages" / "pytriton" / "tritonserver"
    stub = bundle / "backends" / "python" / _STUB
    shutil.copyfile(bundle / "python_backend_stubs" / _PYTHON / _STUB, stub)
    for program in (stub, bundle / "bin" / "tritonserver"):
        program.chmod(_EXECUTABLE)
    return bundle


def _write_repository(repository: Path, files: dict[str, Path]) -> Path:
    for name, file in files.items():
        version = repository / name / "1"
        version.mkdir(parents=True, exist_ok=True)
        (repository / name / "config.pbtxt").write_text(config(name, file))
        shutil.copyfile(FOLDER / "servers" / "triton_model.py", version / "model.py")
        shutil.copyfile(FOLDER / "servers" / "onnx_session.py", version / "onnx_session.py")
    return repository


def _python_library_folder() -> str:
    """Return the folder of Python's shared library, which the stub needs, or "" if the system finds it without."""
    folder = Path(sysconfig.get_config_var("LIBDIR"))
    if (folder / f"libpython{_PYTHON}.so.1.0").exists():
        return str(folder)
    if find_library(f"python{_PYTHON}"):
        return ""
    raise StartError(f"Triton needs libpython{_PYTHON}.so: apt-get install libpython{_PYTHON} (Debian, Ubuntu).")
