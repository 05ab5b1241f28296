"""A model that is a class in a Python file.

    class Model:
        def __init__(self, folder: Path): ...
        def predict(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]: ...

`folder` has the files of the version, and is the first place from which modules are imported. `predict` gets every
input by its name, as read-only arrays, and returns every output, as arrays, lists or scalars. It is never called by two
threads at once. Inputs of BYTES are arrays of `str` objects, or of `bytes` if the class has `takes_bytes = True`, as
for images; those that it returns may be either. For `pointsman models add`, the class may have attributes `inputs` and
`outputs` as in model.yaml.
"""

import importlib
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from runtimes.datatypes import BYTES, Tensor
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import Manifest, Signature
from runtimes.python.answers import outputs_of, read_only, words

ENTRY = "Model"
"""The name of the class, if model.yaml has no `entry`."""


class PythonRuntime:
    """See `runtimes.runtime.Runtime`."""

    def __init__(self, model: Any, signature: Signature) -> None:
        self.signature = signature
        self.unbatched_because = ""
        self._predict = model.predict
        self._takes_bytes = bool(getattr(model, "takes_bytes", False))
        self._own_names = {spec.name: spec.own_name for spec in signature.inputs}
        self._lock = threading.Lock()
        self._process = os.getpid()

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        """See `Runtime.run`."""
        given = {
            self._own_names[name]: read_only(
                words(name, tensor) if tensor.dtype == BYTES and not self._takes_bytes else tensor
            )
            for name, tensor in inputs.items()
        }
        try:
            with self._lock:
                answer = self._predict(given)
        except (Exception, SystemExit) as error:  # foreign code may raise anything
            raise ModelFailed(f"predict raised {described(error)}.") from error
        end_copies(self._process)
        answered = outputs_of(answer, self.signature.outputs)
        unknown = [name for name in outputs if name not in answered]
        if unknown:
            raise ModelFailed(f"The model has no output {unknown[0]!r}.")
        return [answered[name] for name in outputs]


def build(manifest: Manifest, folder: Path) -> PythonRuntime:
    """Import the file, and make an object of its class.

    Raises:
        ModelRefused: it cannot be imported or made, or has no `predict`. The sentence names file and line.
    """
    process = os.getpid()
    entry = manifest.entry or ENTRY
    try:
        module = _import(manifest.file, folder)
        end_copies(process)
        if not isinstance(getattr(module, entry, None), type):
            raise ModelRefused(f"{manifest.file} has no class {entry}; name it as `entry` in model.yaml.")
        model = getattr(module, entry)(folder)
        end_copies(process)
    except ModelRefused:
        raise
    except (Exception, SystemExit) as error:  # foreign code may raise anything
        raise ModelRefused(f"{manifest.file} raised {described(error)}.") from error
    if not callable(getattr(model, "predict", None)):
        raise ModelRefused(f"The class {entry} in {manifest.file} has no method predict(self, inputs).")
    return PythonRuntime(model, manifest.signature)


def end_copies(process: int) -> None:
    """End this process if it is a copy that foreign code made with `os.fork`: it must not answer, too."""
    if os.getpid() != process:
        os._exit(1)


def described(error: BaseException) -> str:
    """Return an error, and the last line of foreign code that it passed."""
    at, trace = "", error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.parent != Path(__file__).parent and not file.name.startswith("<"):
            at = f" ({file.name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        at = ""  # its text names file and line
    return f"{type(error).__name__}: {error}{at}"


def _import(file: str, folder: Path) -> ModuleType:
    """Import a file of the folder. Modules of the folder come before others."""
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    name = file.removesuffix(".py").replace("/", ".")
    if "." in name:
        return importlib.import_module(name)
    if name in sys.modules:  # such as a model in json.py
        name = f"pointsman_model_{name}"
    spec = spec_from_file_location(name, folder / file)
    if spec is None or spec.loader is None:
        raise ModelRefused(f"{file} is no Python file.")
    module = module_from_spec(spec)
    sys.modules[name] = module  # a pickle in the folder may name its classes
    spec.loader.exec_module(module)
    return module
