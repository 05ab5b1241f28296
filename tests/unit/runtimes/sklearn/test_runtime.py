"""The scikit-learn runtime: trusted types, and outputs."""

import pickle

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

from runtimes.errors import ModelFailed, ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import TensorSpec
from tests.support.models import load_one


class HomeMade(ClassifierMixin, BaseEstimator):
    """A type that skops does not trust."""


class Bomb:
    """An object that runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return exploded.append, ("boom",)


exploded: list[str] = []


@pytest.fixture(scope="module")
def runtime(skops_model, manifest_of):
    return load_one(skops_model, manifest_of(skops_model, "model.skops"))


def test_it_agrees_with_the_estimator(runtime, logistic, cancer):
    features, _ = cancer
    label, probabilities = runtime.run({"X": features}, ["label", "probabilities"])
    np.testing.assert_array_equal(label, logistic.predict(features))
    np.testing.assert_array_equal(probabilities, logistic.predict_proba(features).astype(np.float32))
    assert (label.dtype, probabilities.dtype) == (np.int64, np.float32)


@pytest.mark.parametrize(
    "order", [["label", "probabilities"], ["probabilities", "label"], ["probabilities"], ["label"]]
)
def test_outputs_come_in_the_order_that_was_asked_for(runtime, logistic, cancer, order):
    features = cancer[0][:50]
    expected = {
        "label": logistic.predict(features),
        "probabilities": logistic.predict_proba(features).astype(np.float32),
    }
    answer = runtime.run({"X": features}, order)
    assert len(answer) == len(order)
    for name, tensor in zip(order, answer, strict=True):
        np.testing.assert_array_equal(tensor, expected[name])


def test_a_label_may_be_the_only_output(skops_model, manifest_of, logistic, cancer):
    manifest = manifest_of(skops_model, "model.skops", outputs=(TensorSpec("anything", "INT64", (-1,)),))
    (label,) = load_one(skops_model, manifest).run({"X": cancer[0]}, ["anything"])
    np.testing.assert_array_equal(label, logistic.predict(cancer[0]))


def regressor(content, manifest_of, datatype: str):
    manifest = manifest_of(
        content,
        "model.skops",
        inputs=(TensorSpec("X", "FP64", (-1, 30)),),
        outputs=(TensorSpec("y", datatype, (-1,)),),
    )
    return load_one(content, manifest)


def test_a_regressor_answers_its_one_output(regression, manifest_of, cancer):
    features = cancer[0].astype(np.float64)
    (answer,) = regressor(skops.io.dumps(regression), manifest_of, "FP64").run({"X": features}, ["y"])
    np.testing.assert_array_equal(answer, regression.predict(features))
    np.testing.assert_allclose(answer, features[:, 0], rtol=1e-6)  # the target is one of the features


def test_a_regressor_declared_as_integer_is_refused(regression, manifest_of):
    with pytest.raises(ModelRefused, match="y as float64"):
        regressor(skops.io.dumps(regression), manifest_of, "INT64")


@pytest.mark.parametrize(
    "features",
    [
        pytest.param(np.zeros((1, 29), np.float32), id="too few columns"),
        pytest.param(np.full((1, 30), np.nan, np.float32), id="not a number"),
        pytest.param(np.zeros((2, 2, 30), np.float32), id="three dimensions"),
    ],
)
@pytest.mark.parametrize("outputs", [["label"], ["label", "probabilities"]])
def test_a_model_that_raises_has_failed(runtime, features, outputs):
    with pytest.raises(ModelFailed, match="scikit-learn: "):
        runtime.run({"X": features}, outputs)


@pytest.mark.parametrize("outputs", [["score"], ["probabilities", "score"]])
def test_an_output_that_there_is_not_is_a_failure(runtime, cancer, outputs):
    with pytest.raises(ModelFailed):
        runtime.run({"X": cancer[0][:1]}, outputs)


def test_an_untrusted_type_is_refused_by_name(manifest_of):
    content = skops.io.dumps(HomeMade())
    with pytest.raises(ModelRefused, match=r"types that are not trusted: .*HomeMade"):
        load_one(content, manifest_of(content, "model.skops"), LoadOptions(allow_pickle=True))


def test_a_pickle_is_refused_unread(manifest_of):
    content = pickle.dumps(Bomb())
    with pytest.raises(ModelRefused, match=r"model\.pkl is a pickle, which runs code when it is read.*skops\.io\.dump"):
        load_one(content, manifest_of(content, "model.pkl"))
    assert exploded == []


def test_a_pickle_with_another_digest_is_not_read_even_if_pickles_are_allowed(manifest_of):
    content = pickle.dumps(Bomb())
    with pytest.raises(ModelRefused, match="changed or damaged"):
        load_one(content, manifest_of(content, "model.pkl", sha256="0" * 64), LoadOptions(allow_pickle=True))
    assert exploded == []


def test_a_pickle_that_is_allowed_answers_like_the_estimator(logistic, manifest_of, cancer):
    content = pickle.dumps(logistic)
    runtime = load_one(content, manifest_of(content, "model.pkl"), LoadOptions(allow_pickle=True))
    np.testing.assert_array_equal(runtime.run({"X": cancer[0]}, ["label"])[0], logistic.predict(cancer[0]))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"neither", "The pickle cannot be read"), (pickle.dumps({"no": "estimator"}), "no estimator of scikit-learn")],
)
def test_a_pickle_of_anything_else_is_refused(manifest_of, content, words):
    with pytest.raises(ModelRefused, match=words):
        load_one(content, manifest_of(content, "model.pkl"), LoadOptions(allow_pickle=True))


def test_a_model_without_probabilities_is_refused_if_it_declares_them(regression, manifest_of):
    content = skops.io.dumps(regression)
    with pytest.raises(ModelRefused, match="the output label; the estimator answers prediction"):
        load_one(content, manifest_of(content, "model.skops"))


def test_a_classifier_with_labels_in_words_is_refused(cancer, manifest_of):
    features, target = cancer
    words = LogisticRegression().fit(features[:50, :1].repeat(30, axis=1), np.array(["bad", "good"])[target[:50]])
    content = skops.io.dumps(words)
    with pytest.raises(ModelRefused, match="label"):
        load_one(content, manifest_of(content, "model.skops"))


def test_labels_that_are_text_are_bytes(manifest_of, cancer):
    features = np.asarray(cancer[0][:, :3])
    sizes = np.where(features[:, 0] > np.median(features[:, 0]), "big", "small")
    estimator = LogisticRegression(max_iter=2000).fit(features, sizes)
    content = skops.io.dumps(estimator)
    inputs, outputs = (TensorSpec("X", "FP32", (-1, 3)),), (TensorSpec("label", "BYTES", (-1,)),)
    manifest = manifest_of(content, "model.skops", inputs=inputs, outputs=outputs)
    runtime = load_one(content, manifest)
    (labels,) = runtime.run({"X": features}, ["label"])
    assert labels.tolist() == [label.encode() for label in estimator.predict(features)]


def test_text_is_no_input_of_an_estimator(manifest_of, logistic):
    content = skops.io.dumps(logistic)
    with pytest.raises(ModelRefused, match="takes numbers, not BYTES"):
        load_one(content, manifest_of(content, "model.skops", inputs=(TensorSpec("X", "BYTES", (-1, 30)),)))
