"""What estimators answer: labels, probabilities of several targets, scores, features, text and records."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import NMF, PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.manifold import TSNE
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import TensorSpec
from runtimes.sklearn import outputs
from tests.support.sklearn_estimators import own_answers, row_by_row, same
from tests.unit.runtimes.sklearn.support import draft_of, drafted, load_model, text

pytestmark = pytest.mark.filterwarnings("ignore")

_random = np.random.RandomState(0)
X = _random.randn(60, 4)
BINARY = (X[:, 0] + _random.randn(60) > 0).astype(int)
WORDS = np.array(["high", "low", "middle"])[np.digitize(X[:, 1], [-0.5, 0.5])]
SEVERAL = np.c_[BINARY, (X[:, 2] > 0).astype(int)]
UNEQUAL = np.c_[BINARY, np.digitize(X[:, 1], [-0.5, 0.5])]
INPUT = (TensorSpec("X", "FP64", (-1, 4)),)

MODELS = {
    "a threshold": (FixedThresholdClassifier(LogisticRegression(), threshold=0.8), BINARY),
    "a tuned threshold": (TunedThresholdClassifierCV(LogisticRegression(), cv=2), BINARY),
    "probabilities of a support vector machine": (SVC(probability=True, random_state=0), BINARY),
    "words": (LogisticRegression(), WORDS),
    "booleans": (DecisionTreeClassifier(max_depth=3), BINARY == 1),
    "a forest": (RandomForestClassifier(7, random_state=0, n_jobs=2), WORDS),
    "no probabilities": (SGDClassifier(random_state=0), WORDS),
    "voting on words": (VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier())]), WORDS),
    "soft voting on words": (
        VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier())], voting="soft"),
        WORDS,
    ),
    "stacking": (StackingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier())], cv=2), WORDS),
    "calibrated": (CalibratedClassifierCV(SGDClassifier(random_state=0), cv=2, method="isotonic"), BINARY),
    "a search": (GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, scoring="roc_auc", cv=2), BINARY),
    "one against the rest": (OneVsRestClassifier(LogisticRegression()), SEVERAL),
    "a chain": (ClassifierChain(LogisticRegression()), SEVERAL),
    "several targets": (MultiOutputClassifier(LogisticRegression()), SEVERAL),
    "a forest for several targets": (RandomForestClassifier(3, random_state=0), UNEQUAL),
    "a network of several labels": (MLPClassifier((4,), max_iter=20, random_state=0), SEVERAL),
    "a transformed target": (TransformedTargetRegressor(Ridge(), transformer=StandardScaler()), X[:, 0]),
    "two numbers": (LinearRegression(), X[:, :2]),
    "outliers": (IsolationForest(n_estimators=5, random_state=0), None),
    "novelties": (LocalOutlierFactor(novelty=True), None),
    "clusters": (KMeans(3, n_init=1, random_state=0), None),
    "a mixture": (GaussianMixture(2, random_state=0), None),
    "components": (make_pipeline(StandardScaler(), PCA(2)), None),
    "data frames inside": (make_pipeline(StandardScaler(), PCA(2)).set_output(transform="pandas"), None),
    "polars frames without polars": (make_pipeline(StandardScaler(), PCA(2)), None),
    "sparse features": (make_pipeline(StandardScaler(), OneHotEncoder(handle_unknown="ignore")), None),
}
SERVED = {
    "words": "label BYTES, probabilities FP64",
    "booleans": "label BOOL, probabilities FP64",
    "no probabilities": "label BYTES, scores FP64",
    "several targets": "label INT64, probabilities_0 FP64, probabilities_1 FP64",
    "a forest for several targets": "label INT64, probabilities_0 FP64, probabilities_1 FP64",
    "a chain": "label FP64, probabilities FP64",
    "a transformed target": "prediction FP64",
    "outliers": "label INT64, scores FP64",
    "novelties": "label INT64, scores FP64",
    "clusters": "label INT64",
    "a mixture": "label INT64, probabilities FP64",
    "components": "features FP64",
    "sparse features": "features FP64",
}


@pytest.mark.parametrize("kind", MODELS)
def test_an_estimator_answers_as_it_does_itself(kind):
    estimator, target = MODELS[kind]
    model = estimator.fit(X, target)
    if "polars" in kind:
        draft, runtime = drafted(clone(estimator).fit(X).set_output(transform="polars"))
    else:
        draft, runtime = drafted(model)
    if kind in SERVED:
        assert ", ".join(f"{spec.name} {spec.datatype}" for spec in draft.outputs) == SERVED[kind]
    names = [spec.name for spec in draft.outputs]
    (input_,) = draft.inputs
    for rows in (X, X[:1]):
        direct = own_answers(model, rows, names)
        for spec, tensor in zip(draft.outputs, runtime.run({input_.name: rows}, names), strict=True):
            same(spec, tensor, direct[spec.name])


def test_a_label_is_what_predict_answers_even_where_probabilities_say_otherwise():
    model = FixedThresholdClassifier(LogisticRegression(), threshold=0.95, response_method="predict_proba")
    model.fit(X, BINARY)
    _, runtime = drafted(model)
    label, probabilities = runtime.run({"X": X}, ["label", "probabilities"])
    np.testing.assert_array_equal(label, model.predict(X))
    assert (label != probabilities.argmax(axis=1)).any()


def test_probabilities_of_several_targets_may_be_one_output():
    model = MultiOutputClassifier(LogisticRegression()).fit(X, SEVERAL)
    runtime = load_model(model, INPUT, (TensorSpec("probabilities", "FP64", (-1, 2, 2)),))
    (together,) = runtime.run({"X": X}, ["probabilities"])
    np.testing.assert_array_equal(together, np.stack(model.predict_proba(X), axis=1))


def test_outputs_may_have_other_names_and_datatypes():
    model = LogisticRegression().fit(X, BINARY)
    named = (
        TensorSpec("fraud", "INT32", (-1,), source="label"),
        TensorSpec("chance", "FP32", (-1, 2), source="probabilities"),
    )
    fraud, chance = load_model(model, INPUT, named).run({"X": X}, ["fraud", "chance"])
    np.testing.assert_array_equal(fraud, model.predict(X).astype(np.int32))
    np.testing.assert_array_equal(chance, model.predict_proba(X).astype(np.float32))
    (alone,) = load_model(PCA(2).fit(X), INPUT, (TensorSpec("y", "FP64", (-1, 2)),)).run({"X": X}, ["y"])
    assert alone.shape == (60, 2)


def test_an_output_that_the_estimator_does_not_have_is_refused_with_those_that_it_has():
    model = LinearRegression().fit(X, X[:, 0])
    outputs_ = (TensorSpec("label", "FP64", (-1,)), TensorSpec("probabilities", "FP64", (-1, 2)))
    with pytest.raises(ModelRefused, match=r"label; the estimator answers prediction\. .*`source: prediction`"):
        load_model(model, INPUT, outputs_)


def test_an_estimator_that_cannot_answer_new_rows_is_refused_with_advice():
    for model in (TSNE(perplexity=5).fit(X), LocalOutlierFactor().fit(X)):
        for attempt in (draft_of, lambda model: load_model(model, INPUT, (TensorSpec("y", "FP64", (-1,)),))):
            with pytest.raises(ModelRefused, match=r"Use a transformer with transform|Fit it with novelty=True"):
                attempt(model)


TEXTS = ["free money", "lunch at noon", "money for lunch", "noon"] * 5
SPAM = ["spam", "ham", "spam", "ham"] * 5


@pytest.mark.parametrize(
    "head",
    [
        (TfidfVectorizer(),),
        (HashingVectorizer(n_features=32),),
        (TfidfVectorizer(), TruncatedSVD(2, random_state=0)),
        (FeatureUnion([("words", CountVectorizer()), ("letters", TfidfVectorizer(analyzer="char"))]),),
    ],
)
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_text(head, shape):
    model = make_pipeline(*head, LogisticRegression()).fit(TEXTS, SPAM)
    draft, runtime = drafted(model)
    assert draft.inputs == (TensorSpec("text", "BYTES", (-1,)),)
    if len(shape) == 2:
        runtime = load_model(model, (TensorSpec("text", "BYTES", shape),), draft.outputs)
    given = text(*TEXTS, "über etwas Neues", "").reshape(shape)
    label, probabilities = runtime.run({"text": given}, ["label", "probabilities"])
    expected = [*TEXTS, "über etwas Neues", ""]
    assert [each.decode() for each in label] == model.predict(expected).tolist()
    np.testing.assert_allclose(probabilities, model.predict_proba(expected), rtol=1e-12)


def test_text_is_refused_as_numbers():
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, SPAM)
    with pytest.raises(ModelRefused, match=r"takes text: one input BYTES \[-1\], and not X FP64 \[-1, 4\]"):
        load_model(model, INPUT, (TensorSpec("label", "BYTES", (-1,)),))


RECORDS = [{"city": "Rome", "age": 30.0}, {"city": "Oslo", "age": 50.0}, {"age": 40.0}] * 5


def test_records_come_from_columns():
    model = make_pipeline(DictVectorizer(), LogisticRegression()).fit(RECORDS, [0, 1, 1] * 5)
    draft, runtime = drafted(model)
    assert {spec.name: spec.datatype for spec in draft.inputs} == {"age": "FP64", "city": "BYTES"}
    inputs = {"age": np.array([30.0, 50.0, 40.0]), "city": text("Rome", "Oslo", "")}
    np.testing.assert_array_equal(runtime.run(inputs, ["label"])[0], model.predict(RECORDS[:3]))


def test_a_feature_hasher_needs_its_keys():
    model = make_pipeline(FeatureHasher(16), LogisticRegression()).fit(RECORDS, [0, 1, 1] * 5)
    with pytest.raises(ModelRefused, match="Name them as inputs"):
        draft_of(model)
    said = [{"name": "age", "datatype": "FP64", "shape": [-1]}, {"name": "city", "datatype": "BYTES", "shape": [-1]}]
    draft = draft_of(model, inputs=said)
    runtime = load_model(model, draft.inputs, draft.outputs)
    inputs = {"age": np.array([30.0, 50.0, 40.0]), "city": text("Rome", "Oslo", "")}
    np.testing.assert_array_equal(runtime.run(inputs, ["label"])[0], model.predict(RECORDS[:3]))


def test_a_sparse_result_that_is_too_large_fails_with_a_sentence(monkeypatch):
    model = CountVectorizer().fit(TEXTS)
    _, runtime = drafted(model)
    monkeypatch.setattr(outputs, "MOST_DENSE_BYTES", 100)
    with pytest.raises(ModelFailed, match=r"as a sparse matrix .*Send fewer rows"):
        runtime.run({"text": text(*TEXTS)}, ["features"])


def test_an_estimator_that_looks_at_all_rows_is_not_batched():
    model = make_pipeline(StandardScaler().fit(np.abs(X)), NMF(2, init="random", random_state=0))
    model.set_params(standardscaler__with_mean=False)
    _, runtime = drafted(model.fit(np.abs(X)))
    assert "iterates over all rows" in runtime.unbatched_because


def test_threads_share_an_estimator():
    model = make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)).fit(X, WORDS)
    _, runtime = drafted(model)
    expected = model.predict_proba(X)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda row: runtime.run({"X": X[row : row + 1]}, ["probabilities"])[0], range(60)))
    row_by_row(np.concatenate(answers), expected)


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(C=1e-6),
        LogisticRegression(C=1e6),
        SGDClassifier(loss="log_loss", random_state=0),
        SGDClassifier(loss="modified_huber", random_state=0),
        GaussianNB(),
        KNeighborsClassifier(4),
        AdaBoostClassifier(n_estimators=3, random_state=0),
        BaggingClassifier(DecisionTreeClassifier(), 4, random_state=0),
        GradientBoostingClassifier(n_estimators=3),
        HistGradientBoostingClassifier(max_iter=3),
        LinearDiscriminantAnalysis(),
        CalibratedClassifierCV(SVC(), cv=2),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.parametrize("target", [BINARY, WORDS], ids=["binary", "words"])
def test_labels_out_of_probabilities_are_those_of_predict(model, target, monkeypatch):
    model = clone(model).fit(X, target)
    points = np.concatenate([X, _random.randn(2000, 4) * 3, X[:20] * 1e3])  # ties and saturated scores among them
    expected, passes = model.predict(points), []
    _, runtime = drafted(model)
    monkeypatch.setattr(type(model), "predict", _counting(type(model).predict, passes))
    for rows in (slice(None), *(slice(at, at + 1) for at in range(40))):
        label, _ = runtime.run({"X": points[rows]}, ["label", "probabilities"])
        expected_here = expected[rows]
        if expected.dtype.kind == "U":
            label = np.array([each.decode() for each in label])
        np.testing.assert_array_equal(label, expected_here)
    assert len(passes) < 41  # most rows need one pass only


def _counting(method, passes):
    def predict(self, rows):
        passes.append(len(rows))
        return method(self, rows)

    return predict
