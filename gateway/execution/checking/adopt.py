"""Makes the manifest of a version that has none, as in MLflow's registry, out of its files.

The files are read, understood, loaded and run in a process with the limits of a trial. The manifest follows from the
files alone, so every machine makes the same one, but for the digest of the golden requests.
"""

from collections.abc import Mapping
from pathlib import Path

import structlog

from gateway.execution.checking.messages import NewVersion, ToCheck
from gateway.execution.checking.process import check_in_process
from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, is_below
from runtimes.manifest_text import parse_manifest

_log = structlog.get_logger()

_NICE = 10
_LEFT_OUT = "__pycache__"
_CAN_BE_SAID = ("signature read", "signature", "warm-up")
"""The steps that fail if something is not known that a person can say."""
_ADVICE = (
    "What the files do not say, say in a model.yaml: `inputs` and `outputs` with name, datatype and shape, and an "
    "`example` for an input. Log it as an artifact of the model, beside MLmodel "
    '(`mlflow.MlflowClient().log_model_artifact(model_id, "model.yaml")`), and register the model again.'
)


def adopt(
    model: str, version: str, blobs: Mapping[str, Path], options: LoadOptions
) -> tuple[Manifest, Mapping[str, bytes]]:
    """Return the manifest of a version, and the files that were made for it: its golden requests, if there are any.

    `blobs` has the place of each file by its path in the version. A `model.yaml` among them counts as said by a person.
    This takes long. Hidden files are no part of a version.

    Raises:
        ModelRefused: it cannot be served. The sentence says why, and what to write.
    """
    name = f"{model}:{version}"
    try:
        checked = check_in_process(ToCheck(to_adopt(name, blobs), options), lambda _: None, _NICE)
    except OSError as error:
        raise ModelRefused(f"No process can be started to read it: {error}.") from error
    if checked.result is None:
        failed = checked.steps[-1]
        needs_consent = "POINTSMAN_" in failed.detail
        advice = f" {_ADVICE}" if failed.step in _CAN_BE_SAID and not needs_consent else ""
        _log.warning("gateway.adoption.failed", version=name, step=failed.step, reason=failed.detail)
        raise ModelRefused(f"{failed.detail}{advice}")
    _log.info("gateway.adoption.done", version=name, remarks=checked.result.remarks)
    return parse_manifest(checked.result.manifest), checked.result.made


def to_adopt(name: str, blobs: Mapping[str, Path]) -> NewVersion:
    """Return what a process has to check of a version without a manifest. Its files are as for `adopt`."""
    return NewVersion(source=name, files={file: str(blob.absolute()) for file, blob in blobs.items() if _belongs(file)})


def _belongs(file: str) -> bool:
    return is_below(file) and _LEFT_OUT not in file.split("/")
