"""Small models, trained once on the breast cancer data inside scikit-learn."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from runtimes.manifest import Manifest, TensorSpec

COLUMNS = 30


@pytest.fixture(scope="session")
def cancer() -> tuple[np.ndarray, np.ndarray]:
    """Return 569 rows of 30 features, and 0 (malignant) or 1 for each."""
    data = load_breast_cancer()
    return data.data.astype(np.float32), data.target


@pytest.fixture(scope="session")
def boosting(cancer) -> GradientBoostingClassifier:
    return GradientBoostingClassifier(n_estimators=10, random_state=0).fit(*cancer)


@pytest.fixture(scope="session")
def logistic(cancer) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(*cancer)


@pytest.fixture(scope="session")
def regression(cancer) -> LinearRegression:
    """Return a model that predicts the first feature from all of them, in doubles."""
    features = cancer[0].astype(np.float64)
    return LinearRegression().fit(features, features[:, 0])


@pytest.fixture(scope="session")
def to_onnx() -> Callable[..., bytes]:
    def convert(estimator: Any, zipmap: bool = False) -> bytes:
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType

        model = to_onnx(
            estimator,
            initial_types=[("X", FloatTensorType([None, COLUMNS]))],
            options={id(estimator): {"zipmap": zipmap}},
        )
        return model.SerializeToString()

    return convert


@pytest.fixture(scope="session")
def onnx_model(boosting, to_onnx) -> bytes:
    return to_onnx(boosting)


@pytest.fixture(scope="session")
def skops_model(logistic) -> bytes:
    return skops.io.dumps(logistic)


@pytest.fixture(scope="session")
def manifest_of() -> Callable[..., Manifest]:
    """Return a function that describes a model of the cancer data truly, with some changes."""

    def describe(content: bytes, file: str = "model.onnx", **change: Any) -> Manifest:
        true = {
            "runtime": "onnx" if file.endswith(".onnx") else "sklearn",
            "file": file,
            "sha256": hashlib.sha256(content).hexdigest(),
            "inputs": (TensorSpec("X", "FP32", (-1, COLUMNS)),),
            "outputs": (TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP32", (-1, 2))),
        }
        return Manifest(**{**true, **change})

    return describe
