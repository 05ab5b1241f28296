"""The runtime of scikit-learn estimators.

Models are read with skops, which builds only types that it trusts. A pickle runs code when it is read, so it is
rejected unless the setting allows it. The manifest's sha256 has been verified before this file gets the bytes.

`columns` says what an estimator takes, `frames` makes that out of tensors, and `outputs` has the names of its results.
A manifest with one output may give it any name: it is the result of `predict` or, without one, of `transform`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from runtimes.datatypes import Tensor
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Files, Manifest, Signature
from runtimes.sklearn.batches import why_together
from runtimes.sklearn.columns import takes
from runtimes.sklearn.examples import exemplified
from runtimes.sklearn.frames import reader
from runtimes.sklearn.outputs import Answers, cast, source_of
from runtimes.sklearn.reading import read_artifact
from runtimes.sklearn.refusals import require_answers
from runtimes.sklearn.versions import declared, require_version, versions_said_first


class SklearnRuntime:
    """See `runtimes.runtime.Runtime`. An estimator keeps no state between runs, so threads may share it."""

    def __init__(self, estimator: Any, signature: Signature) -> None:
        self.signature = signature
        self.unbatched_because = why_together(estimator)
        self.takes = takes(estimator)
        self._read = reader(self.takes, signature.inputs)
        self._answers = Answers(estimator)
        alone = len(signature.outputs) == 1
        self._outputs = {spec.name: (spec, source_of(spec, self._answers, alone=alone)) for spec in signature.outputs}

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        """See `Runtime.run`."""
        for name in outputs:
            if name not in self._outputs:
                raise ModelFailed(f"The model has no output {name!r}.")
        wanted = [self._outputs[name] for name in outputs]
        try:
            results = self._answers(self._read(inputs), {source for _, source in wanted})
        except ModelFailed:
            raise
        except Exception as error:  # an estimator may raise anything
            raise ModelFailed(f"scikit-learn: {error}") from error
        return [cast(spec, results, source) for spec, source in wanted]


def load_sklearn(files: Files, manifest: Manifest, options: LoadOptions) -> SklearnRuntime:
    """Read `model.skops` (or a pickle, if allowed).

    Raises:
        ModelRefused: untrusted types, a pickle that is not allowed, damaged bytes, another version of scikit-learn, or
            inputs and outputs that the estimator does not have.
    """
    file, said = manifest.file, declared(manifest.made_with)
    if not manifest.batch == 0:
        raise ModelRefused("A scikit-learn model answers rows: leave `batch` out of model.yaml.")
    artifact = read_artifact(file, files[file], options, asked=manifest.trusted_types, made_with=said)
    versions = artifact.versions or (said,)
    require_version(file, versions, accepts_others=manifest.accepts_other_versions)
    with versions_said_first(file, versions):
        require_answers(artifact.estimator)
        runtime = SklearnRuntime(artifact.estimator, manifest.signature)
        runtime.signature = exemplified(runtime, runtime.takes)
    return runtime
