"""The runtimes of models that are code: `python`, a class of one's own, and `mlflow`, what MLflow loads.

They run in placement `process` or `dedicated` only, and only if the operator allows code (`runtimes.python.consent`).
Their files are written to a private folder from the verified bytes: nothing is read from the registry's folder.
"""

from runtimes.load_options import LoadOptions
from runtimes.manifest import Files, Manifest
from runtimes.python import mlflow_function, python_class
from runtimes.python.consent import require_consent
from runtimes.python.folder import private_folder
from runtimes.python.mlflow_function import MlflowRuntime
from runtimes.python.python_class import PythonRuntime


def load_python(files: Files, manifest: Manifest, options: LoadOptions) -> PythonRuntime:
    """Import the file of a version, and make an object of its class.

    Raises:
        ModelRefused: code is not allowed, a package is missing, or the code raised.
    """
    require_consent(manifest, options)
    return python_class.build(manifest, private_folder(_pinned(files, manifest)))


def load_mlflow(files: Files, manifest: Manifest, options: LoadOptions) -> MlflowRuntime:
    """Have MLflow load the folder of a version. Raises like `load_python`."""
    require_consent(manifest, options)
    return mlflow_function.build(manifest, private_folder(_pinned(files, manifest)))


def _pinned(files: Files, manifest: Manifest) -> Files:
    """Return the files whose digests were verified."""
    return {path: files[path] for path in manifest.pinned}
