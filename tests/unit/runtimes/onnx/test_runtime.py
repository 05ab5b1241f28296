"""The ONNX runtime returns the same as the estimator that was converted."""

import numpy as np
import pytest

from runtimes.errors import ModelFailed
from tests.support.models import load_one


@pytest.fixture(scope="module")
def runtime(onnx_model, manifest_of):
    return load_one(onnx_model, manifest_of(onnx_model))


def test_it_agrees_with_the_estimator(runtime, boosting, cancer):
    features, _ = cancer
    label, probabilities = runtime.run({"X": features}, ["label", "probabilities"])
    np.testing.assert_array_equal(label, boosting.predict(features))
    # float32 has 24 bits: 2**-24 = 6e-8 per operation, and the results of ten trees are added
    np.testing.assert_allclose(probabilities, boosting.predict_proba(features), atol=1e-6)
    assert (label.dtype, probabilities.dtype) == (np.int64, np.float32)


def test_a_batch_is_answered_row_by_row(runtime, cancer):
    features, _ = cancer
    (batch,) = runtime.run({"X": features[:20]}, ["probabilities"])
    for row in range(20):
        np.testing.assert_array_equal(runtime.run({"X": features[row : row + 1]}, ["probabilities"])[0][0], batch[row])


@pytest.mark.parametrize(
    "order", [["label", "probabilities"], ["probabilities", "label"], ["probabilities"], ["label"]]
)
def test_outputs_come_in_the_order_that_was_asked_for(runtime, cancer, order):
    answer = runtime.run({"X": cancer[0][:5]}, order)
    shapes = {"label": (5,), "probabilities": (5, 2)}
    assert [tensor.shape for tensor in answer] == [shapes[name] for name in order]


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param({"X": np.zeros((1, 29), np.float32)}, id="too few columns"),
        pytest.param({"X": np.zeros((1, 30), np.float64)}, id="doubles"),
        pytest.param({}, id="nothing"),
    ],
)
def test_a_model_that_raises_has_failed(runtime, inputs):
    with pytest.raises(ModelFailed, match="ONNX Runtime: "):
        runtime.run(inputs, ["label"])


def test_an_output_that_there_is_not_is_a_failure(runtime, cancer):
    with pytest.raises(ModelFailed, match="score"):
        runtime.run({"X": cancer[0][:1]}, ["score"])
