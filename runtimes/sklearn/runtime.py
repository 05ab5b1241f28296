"""The runtime of scikit-learn classifiers and regressors.

Models are read with skops, which builds only types that it trusts. A pickle runs code when it is read, so it is
rejected unless the setting allows it. The manifest's sha256 has been verified before this file gets the bytes.

A classifier has the outputs `label` and `probabilities`, or one of them. A model with one output of another name
returns the result of `predict`. Outputs are cast only within their kind: a probability never becomes an integer.
"""

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from runtimes.datatypes import BYTES, NUMPY_OF, Tensor, tensor_of_bytes
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Files, Manifest, Signature

_LABEL, _PROBABILITIES = "label", "probabilities"


class SklearnRuntime:
    """See `runtimes.runtime.Runtime`. One input; its columns are the estimator's features."""

    def __init__(self, estimator: Any, signature: Signature) -> None:
        self.signature = signature
        self.unbatched_because = ""
        self._estimator = estimator
        self._input = signature.inputs[0].name
        self._dtypes = {spec.name: NUMPY_OF[spec.datatype] for spec in signature.outputs}

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        """See `Runtime.run`."""
        features = inputs[self._input]
        try:
            if _PROBABILITIES in outputs:
                results = self._classify(features)
            else:
                results = dict.fromkeys(self._dtypes, self._estimator.predict(features))
        except Exception as error:  # an estimator may raise anything
            raise ModelFailed(f"scikit-learn: {error}") from error
        return [self._cast(name, results) for name in outputs]

    def _cast(self, name: str, results: Mapping[str, Tensor]) -> Tensor:
        if name not in self._dtypes or name not in results:
            raise ModelFailed(f"The model has no output {name!r}.")
        tensor, dtype = np.asarray(results[name]), self._dtypes[name]
        if dtype == BYTES:
            return tensor_of_bytes([_as_bytes(name, element) for element in tensor.ravel().tolist()], tensor.shape)
        if not np.can_cast(tensor.dtype, dtype, "same_kind"):
            raise ModelFailed(f"The model answers {name} as {tensor.dtype}, which is no {dtype}.")
        cast = tensor.astype(dtype, copy=False)
        if dtype.kind in "iu" and cast is not tensor and not np.array_equal(cast, tensor):
            raise ModelFailed(f"The model answers {name} with a value that {dtype} cannot hold.")
        return cast

    def _classify(self, features: Tensor) -> dict[str, Tensor]:
        probabilities = self._estimator.predict_proba(features)
        return {
            _LABEL: self._estimator.classes_[np.argmax(probabilities, axis=1)],
            _PROBABILITIES: probabilities,
        }


def _as_bytes(name: str, element: object) -> bytes:
    if isinstance(element, str):
        return element.encode()
    if isinstance(element, bytes):
        return element
    raise ModelFailed(f"The model answers {name} with {element!r}, which is no text.")


def load_sklearn(files: Files, manifest: Manifest, options: LoadOptions) -> SklearnRuntime:
    """Read `model.skops` (or a pickle, if allowed).

    Raises:
        ModelRefused: untrusted types, a pickle that is not allowed, damaged bytes, or another number of features.
    """
    if len(manifest.inputs) != 1:
        raise ModelRefused("A scikit-learn model has exactly one input tensor.")
    if len(manifest.inputs[0].shape) != 2:
        raise ModelRefused("The input of a scikit-learn model has two dimensions, such as [-1, 30].")
    if manifest.inputs[0].datatype in ("BYTES", "BF16"):
        raise ModelRefused(f"A scikit-learn model takes numbers, not {manifest.inputs[0].datatype}.")
    names = {spec.name for spec in manifest.outputs}
    if len(names) > 1 and names != {_LABEL, _PROBABILITIES}:
        raise ModelRefused(f"A scikit-learn model answers {_LABEL} and {_PROBABILITIES}, or one output.")
    if manifest.file.endswith(".skops"):
        estimator = _read_skops(files[manifest.file])
    elif options.allow_pickle:
        estimator = _read_pickle(files[manifest.file])
    else:
        raise ModelRefused(
            f"{manifest.file} is a pickle, which runs code when it is read. Save the model with skops.io.dump, "
            "or set POINTSMAN_ALLOW_PICKLE=true if you trust its author."
        )
    features, declared = getattr(estimator, "n_features_in_", None), manifest.inputs[0].shape[-1]
    if features is not None and declared not in (-1, features):
        raise ModelRefused(f"model.yaml declares {declared} features; the estimator was fitted on {features}.")
    return SklearnRuntime(estimator, manifest.signature)


def _read_skops(content: bytes) -> Any:
    import skops.io  # takes seconds to import; other runtimes do not need it

    try:
        untrusted = skops.io.get_untrusted_types(data=content)
        if untrusted:
            raise ModelRefused(f"The model holds types that are not trusted: {', '.join(sorted(untrusted))}.")
        return skops.io.loads(content, trusted=[])
    except ModelRefused:
        raise
    except Exception as error:  # zip, JSON and NumPy errors: skops did not write this file
        raise ModelRefused(f"skops cannot read the model: {error!r}.") from error


def _read_pickle(content: bytes) -> Any:
    try:
        return pickle.loads(content)  # noqa: S301  # allowed by a setting, and its sha256 is verified
    except Exception as error:  # a pickle may raise anything
        raise ModelRefused(f"The pickle cannot be read: {error!r}.") from error
