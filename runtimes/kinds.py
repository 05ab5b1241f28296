"""The kinds of models: which code loads each, and which reads a manifest out of an artifact.

Each library is imported only where a version needs it: some take seconds, some are not installed.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, cast

from runtimes.draft import Draft
from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import NO_KIND, Constant, Files, Manifest, RuntimeName
from runtimes.runtime import Runtime

Loader = Callable[[Files, Manifest, LoadOptions], Runtime]
"""Builds a runtime from verified files. Its signature is the artifact's own. Raises `ModelRefused`."""

Drafter = Callable[[Files, str, LoadOptions, Mapping[str, Any]], Draft]
"""Reads the file of that name, among the others. Raises `ModelRefused`. See `runtimes.draft`."""

_PACKAGE_OF: dict[RuntimeName, str] = {
    "onnx": "onnx",
    "sklearn": "sklearn",
    "lightgbm": "trees",
    "xgboost": "trees",
    "catboost": "trees",
    "mlflow": "python",
    "python": "python",
}


def loader_of(runtime: RuntimeName | Constant) -> Loader:
    """Return the function that loads versions of a runtime.

    Raises:
        ModelRefused: a library is not installed, or it is no kind of model.
    """
    if runtime == "constant":
        raise ModelRefused(NO_KIND)
    return cast("Loader", _function(runtime, "runtime", f"load_{runtime}"))


def drafter_of(runtime: RuntimeName) -> Drafter:
    """Return the function that reads a manifest out of an artifact. Raises like `loader_of`."""
    return cast("Drafter", _function(runtime, "draft", f"draft_{runtime}"))


def _function(runtime: RuntimeName, module: str, name: str) -> object:
    try:
        return getattr(import_module(f"runtimes.{_PACKAGE_OF[runtime]}.{module}"), name)
    except (ImportError, OSError) as error:  # OSError: LightGBM without libgomp
        raise ModelRefused(f"A model of the kind {runtime} needs a package that is not installed: {error}.") from error
