"""The text of `model.yaml`: read, checked and written."""

import math
from collections.abc import Iterable
from typing import Any

import msgspec
import yaml

from runtimes.bounded_yaml import load_yaml
from runtimes.datatypes import NUMPY_OF
from runtimes.errors import ModelRefused
from runtimes.manifest import MANIFEST, NO_KIND, NOT_IN_REPLICA, RUNS_CODE, Manifest, TensorSpec, is_below

_MOST_EXAMPLE_ELEMENTS = 1 << 26
"""Of all inputs. It is 256 MB of FP32; more is no example but an attack on the memory."""


def parse_manifest(text: str) -> Manifest:
    """Read `model.yaml`.

    Raises:
        ModelRefused: not YAML within the limits of `load_yaml`, a key is missing or unknown, or a value is not allowed.
    """
    try:
        manifest = msgspec.convert(load_yaml(text), Manifest)
    except Exception as error:  # PyYAML raises other errors, too, for tags whose value is of another kind
        raise ModelRefused(f"model.yaml cannot be read: {error}.") from error
    _check(manifest)
    return manifest


def _check(manifest: Manifest) -> None:
    if manifest.runtime == "constant":
        raise ModelRefused(NO_KIND)
    if manifest.resources.min_replicas > manifest.resources.max_replicas:
        raise ModelRefused("model.yaml asks for more min_replicas than max_replicas.")
    _check_files(manifest)
    if manifest.runtime in RUNS_CODE and manifest.placement == "replica":
        raise ModelRefused(f"A version of runtime {manifest.runtime} {NOT_IN_REPLICA}")
    _check_missing(manifest)
    if not manifest.inputs or not manifest.outputs:
        raise ModelRefused("model.yaml must name at least one input and one output.")
    for specs in (manifest.inputs, manifest.outputs):
        if len({spec.name for spec in specs}) != len(specs):
            raise ModelRefused("model.yaml names a tensor twice.")
        for spec in specs:
            _check_tensor(spec)
    check_example_sizes(manifest.inputs)


def _check_missing(manifest: Manifest) -> None:
    if manifest.missing is None:
        return
    if math.isnan(manifest.missing):
        raise ModelRefused("NaN is always a missing value for XGBoost: leave `missing` out of model.yaml.")
    if manifest.runtime != "xgboost":
        raise ModelRefused(
            f"model.yaml has the key missing; a version of runtime {manifest.runtime} does not take it. Only xgboost "
            "does, whose files do not say which value is missing."
        )


def _check_files(manifest: Manifest) -> None:
    for file in (manifest.file, *(each.file for each in manifest.files)):
        if not is_below(file) or file == MANIFEST:
            raise ModelRefused(f"model.yaml names file {file!r}; it must lie in the version's folder.")
    if len(manifest.pinned) != 1 + len(manifest.files):
        raise ModelRefused("model.yaml names a file twice.")
    if manifest.golden and manifest.golden not in manifest.pinned:
        raise ModelRefused(f"model.yaml names golden requests in {manifest.golden!r}, which is not among its files.")


def _check_tensor(spec: TensorSpec) -> None:
    if any(size != -1 and size < 1 for size in spec.shape):
        raise ModelRefused(f"Tensor {spec.name} has shape {list(spec.shape)}; a dimension is -1 or at least 1.")
    if spec.datatype not in NUMPY_OF:
        raise ModelRefused(f"Tensor {spec.name} has datatype {spec.datatype!r}; known are {', '.join(NUMPY_OF)}.")
    if spec.columns and (len(spec.shape) > 2 or spec.shape[-1:] != (len(spec.columns),)):
        raise ModelRefused(f"Tensor {spec.name} names {len(spec.columns)} columns for shape {list(spec.shape)}.")
    _check_example(spec)


def _check_example(spec: TensorSpec) -> None:
    example = spec.example
    if example is None:
        return
    if example.shape is None and example.data is None:
        raise ModelRefused(f"Tensor {spec.name} has an example without shape and data.")
    if example.shape is not None:
        mismatch = spec.shape_mismatch(example.shape)
        if mismatch is not None:
            raise ModelRefused(f"The example of an input does not fit it. {mismatch}")
        if isinstance(example.data, tuple):
            raise ModelRefused(f"Tensor {spec.name} has an example with a shape, and data that has a shape of its own.")


def check_example_sizes(inputs: Iterable[TensorSpec], most: int = _MOST_EXAMPLE_ELEMENTS) -> None:
    """Check that the examples do not fill the memory. Values that are written out are as many as the file has.

    Raises:
        ModelRefused: together they have too many elements.
    """
    shapes = [spec.example.shape for spec in inputs if spec.example and spec.example.shape]
    if sum(map(math.prod, shapes)) > most:
        raise ModelRefused(f"The examples of the inputs have more than {most} elements in all.")


def manifest_to_yaml(manifest: Manifest) -> str:
    """Return the text that `parse_manifest` reads back. What has its default is left out."""
    return yaml.safe_dump(plain(manifest), sort_keys=False, default_flow_style=None)


def plain(value: Any) -> Any:
    """Return what YAML and JSON can write: dictionaries, lists and single values. What has its default is left out."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        return {
            field.name: plain(getattr(value, field.name))
            for field in fields
            if field.required or getattr(value, field.name) != field.default
        }
    return [plain(each) for each in value] if isinstance(value, tuple) else value
