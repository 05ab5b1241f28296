"""Every estimator of scikit-learn: fitted on small data, saved, drafted, loaded, and held against itself.

`python -m tests.support.sklearn_estimators` writes the list into docs/models_sklearn.md.
"""

import hashlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import skops.io
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.utils import all_estimators, get_tags
from sklearn.utils._test_common.instance_generator import _construct_instances

from runtimes.draft import Draft
from runtimes.errors import ModelRefused
from runtimes.kinds import drafter_of
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, TensorSpec
from tests.support.models import load_one

PAGE = Path(__file__).parents[2] / "docs" / "models_sklearn.md"
BEGIN, END = "<!-- estimators: written by tests/support/sklearn_estimators.py -->", "<!-- end of estimators -->"
OPTIONS = LoadOptions(allow_pickle=True)
METHODS = {
    "label": ("predict",),
    "prediction": ("predict",),
    "probabilities": ("predict_proba",),
    "scores": ("decision_function", "score_samples"),
    "features": ("transform",),
}
_TEXTS = ["free money now", "lunch at noon", "good news for you", "see you there"] * 10
_RECORDS = [{"city": "Rome", "age": 3.0}, {"city": "Oslo", "age": 4.0}] * 20

_random = np.random.RandomState(0)
X = np.abs(_random.randn(40, 4)) + 0.5
CLASSES = (X[:, 0] > X[:, 1]).astype(int)
NUMBERS = X[:, 0] + X[:, 1]


class Outcome(NamedTuple):
    """What became of an estimator: its draft and whether its requests are merged, or why it was refused."""

    name: str
    file: str
    draft: Draft | None
    together: str
    refusal: str


def fitted() -> Iterator[tuple[str, Any]]:
    """Fit each estimator on small data."""
    for name, kind in all_estimators():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield name, _fit(name, kind)


def _fit(name: str, kind: type[Any]) -> Any:
    special = {
        "CountVectorizer": (_TEXTS,),
        "TfidfVectorizer": (_TEXTS,),
        "HashingVectorizer": (_TEXTS,),
        "DictVectorizer": (_RECORDS,),
        "FeatureHasher": (_RECORDS,),
        "IsotonicRegression": (X[:, 0], NUMBERS),
        "LabelBinarizer": (CLASSES,),
        "LabelEncoder": (np.array(["no", "yes"])[CLASSES],),
        "MultiLabelBinarizer": ([("a", "b"), ("b",)] * 20,),
        "KernelCenterer": (X @ X.T,),
        "MissingIndicator": (np.where(X > 2, np.nan, X),),
        "DummyClassifier": (X, CLASSES),
        "PatchExtractor": (_random.rand(4, 8, 8),),
    }
    if name in special:
        return kind().fit(*special[name])
    if name == "FrozenEstimator":
        return FrozenEstimator(LogisticRegression().fit(X, CLASSES))
    if name == "SparseCoder":
        return kind(dictionary=np.eye(4)).fit(X)
    estimator = next(iter(_construct_instances(kind)))
    if name == "LocalOutlierFactor":
        estimator.set_params(novelty=True)
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=0)
    return estimator.fit(X, _target(estimator))


def _target(estimator: Any) -> Any:
    tags = get_tags(estimator)
    if tags.target_tags.multi_output and not tags.target_tags.single_output:
        return np.c_[NUMBERS, X[:, 2]] if tags.estimator_type == "regressor" else np.c_[CLASSES, 1 - CLASSES]
    if tags.estimator_type == "regressor" or type(estimator).__module__.startswith("sklearn.cross_decomposition"):
        return NUMBERS
    return CLASSES


def saved(estimator: Any) -> tuple[str, bytes]:
    """Return a file name and the content: skops or, where that cannot save it, joblib."""
    try:
        return "model.skops", skops.io.dumps(estimator)
    except TypeError:
        buffer = io.BytesIO()
        joblib.dump(estimator, buffer)
        return "model.joblib", buffer.getvalue()


def manifest_of(draft: Draft, content: bytes) -> Manifest:
    """Return the manifest that a draft makes."""
    sha256 = hashlib.sha256(content).hexdigest()
    more = {key: tuple(value) if isinstance(value, list) else value for key, value in draft.more.items()}
    return Manifest(
        runtime="sklearn", file=draft.file, sha256=sha256, inputs=draft.inputs, outputs=draft.outputs, **more
    )


def tried(name: str, estimator: Any) -> Outcome:
    """Serve an estimator, and compare its answers with its own for 5 rows and for each of them alone."""
    file, content = saved(estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            draft = drafter_of("sklearn")({file: content}, file, OPTIONS, {})
        except ModelRefused as error:
            return Outcome(name, file, None, "", str(error))
        runtime = load_one(content, manifest_of(draft, content), OPTIONS)
        names = [spec.name for spec in draft.outputs]
        answered = []
        for rows in (slice(0, 5), slice(0, 1), slice(3, 4)):
            inputs = {key: tensor[rows] for key, tensor in draft.examples.items()}
            direct = own_answers(estimator, direct_rows(draft, inputs), names)
            answered.append(runtime.run(inputs, names))
            for spec, tensor in zip(draft.outputs, answered[-1], strict=True):
                same(spec, tensor, direct[spec.name])
        if not runtime.unbatched_because:
            for together, alone in zip(answered[0], answered[2], strict=True):
                row_by_row(together[3:4], alone)
    return Outcome(name, file, draft, runtime.unbatched_because, "")


def direct_rows(draft: Draft, inputs: dict[str, Any]) -> Any:
    """Return what a person would give the estimator: an array, strings, or dictionaries."""
    if len(inputs) > 1:
        columns = {key: _decoded(tensor) for key, tensor in inputs.items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    (tensor,) = inputs.values()
    if draft.inputs[0].datatype == "BYTES" and tensor.ndim == 1:
        return _decoded(tensor)
    return tensor


def _decoded(tensor: Any) -> list[Any]:
    return [value.decode() if isinstance(value, bytes) else value for value in tensor.tolist()]


def own_answers(estimator: Any, rows: Any, names: list[str]) -> dict[str, Any]:
    """Return what the estimator's own methods return, by the names of outputs."""
    answers: dict[str, Any] = {}
    for name in names:
        base, _, target = name.partition("_")
        method = next(method for method in METHODS[base] if hasattr(estimator, method))
        answer = getattr(estimator, method)(rows)
        answers[name] = answer[int(target)] if target else answer
    return answers


def same(spec: TensorSpec, tensor: Any, direct: Any) -> None:
    """Compare an output with the estimator's own answer."""
    direct = direct.toarray() if hasattr(direct, "toarray") else np.asarray(direct)
    if spec.datatype == "BYTES":
        direct = np.array([str(each).encode() for each in direct.ravel()], object).reshape(direct.shape)
    if direct.ndim == 1 and tensor.ndim == 2:  # SparsePCA forgets the first dimension of one row
        direct = direct.reshape(1, -1)
    assert tensor.shape == direct.shape, (spec, tensor.shape, direct.shape)
    if direct.dtype.kind == "f":
        np.testing.assert_allclose(tensor, direct, rtol=1e-12, atol=1e-14)  # skops may have transposed a matrix
    else:
        np.testing.assert_array_equal(tensor, direct)


def row_by_row(together: Any, alone: Any) -> None:
    """Compare the answer to a row among others with the answer to that row alone."""
    if together.dtype.kind == "f":
        np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-9)
    else:
        np.testing.assert_array_equal(together, alone)


def page(outcomes: list[Outcome]) -> str:
    """Return the table of the estimators."""
    served = sum(outcome.draft is not None for outcome in outcomes)
    lines = [
        f"Of {len(outcomes)} estimators, {served} are served.",
        "",
        "| estimator | inputs | outputs | requests merged |",
        "|---|---|---|---|",
    ]
    for outcome in outcomes:
        if outcome.draft is None:
            lines.append(f"| `{outcome.name}` | refused: {outcome.refusal} | | |")
            continue
        inputs, outputs = (_listed(specs) for specs in (outcome.draft.inputs, outcome.draft.outputs))
        name = f"`{outcome.name}`" + (" (joblib)" if outcome.file == "model.joblib" else "")
        lines.append(f"| {name} | {inputs} | {outputs} | {f'no: {outcome.together}' if outcome.together else 'yes'} |")
    return "\n".join(lines)


def _listed(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"`{spec.name}` {spec.datatype} {list(spec.shape)}" for spec in specs)


def with_table(text: str, table: str) -> str:
    """Return the page with another table."""
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(), page([tried(*each) for each in fitted()])))
