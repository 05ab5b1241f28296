"""Converted estimators and a transformer's layer are merged: the graph's word against merging must not hit them."""

import numpy as np
import onnx
import pytest
from sklearn.ensemble import GradientBoostingClassifier, IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from runtimes.batching import why_unbatched
from runtimes.onnx.row_by_row import why_rows_mix
from tests.support.onnx_kinds import loaded, model_of, node

_FEATURES = np.random.default_rng(0).normal(size=(60, 4)).astype("f4")
_LABELS = np.arange(60) % 3
_ESTIMATORS = [
    LogisticRegression(),
    LinearRegression(),
    RandomForestClassifier(5, random_state=0),
    RandomForestRegressor(5, random_state=0),
    GradientBoostingClassifier(n_estimators=3, random_state=0),
    KNeighborsClassifier(3),
    GaussianNB(),
    MLPClassifier((5,), max_iter=20, random_state=0),
    SVC(probability=False),
    IsolationForest(n_estimators=5, random_state=0),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", _ESTIMATORS, ids=lambda each: type(each).__name__)
def test_a_converted_pipeline_is_merged(estimator):
    from skl2onnx import to_onnx

    pipeline = make_pipeline(StandardScaler(), estimator).fit(_FEATURES, _LABELS)
    opset = {"": 17, "ai.onnx.ml": 3}
    content = to_onnx(pipeline, _FEATURES[:1], target_opset=opset).SerializeToString()
    runtime = loaded({"model.onnx": content}, "model.onnx")
    assert runtime.unbatched_because == ""
    assert why_unbatched(runtime, 64) == ""


def test_a_transformers_layer_is_merged():
    generator = np.random.default_rng(0)
    constants = {name: generator.normal(size=(8, 8)).astype("f4") for name in ("wq", "wk", "wv")}
    constants |= {"scale": np.float32(8**-0.5), "ones": np.ones(8, "f4"), "table": generator.normal(size=(9, 8))}
    constants["table"] = constants["table"].astype("f4")
    nodes = [
        node("Gather", ["table", "ids"], ["x"]),
        node("Shape", ["ids"], ["shape"]),
        node("ReduceProd", ["shape"], ["count"], keepdims=0),
        *(node("MatMul", ["x", f"w{each}"], [each]) for each in "qkv"),
        node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        node("MatMul", ["q", "kt"], ["scores"]),
        node("Mul", ["scores", "scale"], ["scaled"]),
        node("Softmax", ["scaled"], ["weights"], axis=-1),
        node("MatMul", ["weights", "v"], ["mixed"]),
        node("Add", ["mixed", "x"], ["sum"]),
        node("LayerNormalization", ["sum", "ones"], ["normal"], axis=-1),
        node("ReduceMean", ["normal"], ["y"], axes=[1], keepdims=0),
    ]
    content = model_of(nodes, {"ids": ("INT64", ["batch", "sequence"])}, {"y": ("FP32", ["batch", 8])}, constants)
    assert why_rows_mix(onnx.load_from_string(content)) == ""
    assert why_unbatched(loaded({"model.onnx": content}, "model.onnx"), 64) == ""
