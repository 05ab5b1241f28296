"""One small model of each kind: its files, what a person has to say about it, requests, and the model run directly."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import skops.io
import xgboost
from catboost import CatBoostClassifier
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

Tensors = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Kind:
    """A model of one kind.

    `write` puts its files into a folder. `said` are options of `models add`. `request` makes inputs from a generator
    and a number of rows. `answer` runs the model directly. `is_table` says that a request is a table of columns.
    """

    name: str
    write: Callable[[Path], None]
    request: Callable[[np.random.Generator, int], Tensors]
    answer: Callable[[Tensors], Tensors]
    said: tuple[str, ...] = ()
    is_table: bool = False
    datatypes: Mapping[str, str] = field(default_factory=dict)


_rng = np.random.default_rng(0)
_X = _rng.normal(size=(200, 4))
_Y = (_X[:, 0] + _X[:, 1] > 0).astype(int) + (_X[:, 2] > 1)
_FRAME = pd.DataFrame(
    {"age": _X[:, 0] * 10 + 40, "fare": _X[:, 1] * 20 + 60, "sex": np.where(_X[:, 2] > 0, "male", "female")}
)
_TEXTS = ["free money now", "lunch at noon", "win a prize", "see you tomorrow"] * 5


def _graph(nodes: list[Any], inputs: list[Any], outputs: list[Any], **constants: np.ndarray[Any, Any]) -> Any:
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        nodes,
        "model",
        [value(*each) for each in inputs],
        [value(*each) for each in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def _onnx(name: str, model: Any, request: Any, said: tuple[str, ...] = (), **more: Any) -> Kind:
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def answer(inputs: Tensors) -> Tensors:
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    return Kind(
        name, lambda folder: (folder / "model.onnx").write_bytes(content) and None, request, answer, said, **more
    )


def _normal(name: str, *shape: int, dtype: Any = np.float32) -> Callable[[np.random.Generator, int], Tensors]:
    """Return a maker of one input; the dimension -1 gets the number of rows."""
    return lambda rng, rows: {name: rng.normal(size=[rows if size == -1 else size for size in shape]).astype(dtype)}


def _onnx_kinds() -> list[Kind]:
    node, weights = helper.make_node, _rng.normal(size=(8, 3)).astype(np.float32)
    floats, half, strings = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.STRING
    linear = _graph(
        [node("MatMul", ["x", "w"], ["y"])], [("x", floats, ["N", 8])], [("y", floats, ["N", 3])], w=weights
    )
    single = _graph([node("MatMul", ["x", "w"], ["y"])], [("x", floats, [1, 8])], [("y", floats, [1, 3])], w=weights)
    two = _graph(
        [node("Add", ["a", "b"], ["sum"]), node("ReduceMax", ["sum", "axes"], ["most"], keepdims=0)],
        [("a", floats, ["N", 4]), ("b", floats, ["N", 4])],
        [("sum", floats, ["N", 4]), ("most", floats, ["N"])],
        axes=np.array([1]),
    )
    words = _graph(
        [node("StringConcat", ["s", "end"], ["t"])],
        [("s", strings, ["N"])],
        [("t", strings, ["N"])],
        end=np.array("!", object),
    )
    halves = _graph([node("Mul", ["x", "x"], ["y"])], [("x", half, ["N", 4])], [("y", half, ["N", 4])])
    wave = _graph(
        [node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)],
        [("x", floats, ["samples"])],
        [("y", floats, [])],
        axes=np.array([0]),
    )
    time_major = _graph(
        [node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)],
        [("x", floats, ["T", "N", 4])],
        [("y", floats, ["N", 4])],
        axes=np.array([0]),
    )
    quantized = _graph(
        [node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]), node("DequantizeLinear", ["q", "s", "z"], ["y"])],
        [("x", floats, ["N", 4])],
        [("y", floats, ["N", 4])],
    )

    def texts(rng: np.random.Generator, rows: int) -> Tensors:
        return {"s": np.array([f"word {number}" for number in rng.integers(0, 99, rows)], object)}

    return [
        _onnx("onnx", linear, _normal("x", -1, 8), is_table=False),
        _onnx("onnx-two-inputs", two, lambda rng, n: {**_normal("a", -1, 4)(rng, n), **_normal("b", -1, 4)(rng, n)}),
        _onnx("onnx-batch-1", single, lambda rng, _: _normal("x", 1, 8)(rng, 1)),
        _onnx("onnx-strings", words, texts),
        _onnx("onnx-half", halves, _normal("x", -1, 4, dtype=np.float16)),
        _onnx("onnx-wave", wave, lambda rng, n: _normal("x", 1000 * n)(rng, n)),
        _onnx("onnx-time-major", time_major, lambda rng, n: _normal("x", 5 + n, n, 4)(rng, n), ("--set", "batch=none")),
        _onnx(
            "onnx-quantized", quantized, lambda rng, n: {"x": rng.normal(size=(n, 4)).astype("f4") * 10.0 ** (n - 2)}
        ),
        _zipmap(),
        _external(linear),
    ]


def _zipmap() -> Kind:
    fitted = LogisticRegression().fit(_X, _Y)
    model = to_onnx(fitted, _X[:1].astype(np.float32))
    kind = _onnx("onnx-zipmap", model, _normal("X", -1, 4))

    def answer(inputs: Tensors) -> Tensors:
        label, maps = kind.answer(inputs).values()
        return {"output_label": label, "output_probability": np.array([list(each.values()) for each in maps], "f4")}

    return Kind(kind.name, kind.write, kind.request, answer)


def _external(linear: Any) -> Kind:
    kind = _onnx("onnx-external", linear, _normal("x", -1, 8))

    def write(folder: Path) -> None:
        copy = onnx.load_from_string(linear.SerializeToString())
        onnx.save(copy, folder / "model.onnx", save_as_external_data=True, location="model.onnx.data", size_threshold=0)

    return Kind(kind.name, write, kind.request, kind.answer)


def _frame(rng: np.random.Generator, rows: int) -> Tensors:
    return {
        "age": rng.uniform(20, 60, rows),
        "fare": rng.uniform(5, 90, rows),
        "sex": np.array(rng.choice(["male", "female"], rows), object),
    }


def _sklearn(name: str, estimator: Any, request: Any, answer: Any, **more: Any) -> Kind:
    content = skops.io.dumps(estimator)
    return Kind(name, lambda folder: (folder / "model.skops").write_bytes(content) and None, request, answer, **more)


def _sklearn_kinds() -> list[Kind]:
    mixed = make_pipeline(
        make_column_transformer((StandardScaler(), ["age", "fare"]), (OneHotEncoder(), ["sex"])), LogisticRegression()
    ).fit(_FRAME, np.where(_Y > 0, "yes", "no"))
    text = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(_TEXTS, [1, 0, 1, 0] * 5)
    forest = RandomForestRegressor(n_estimators=5, random_state=0).fit(_X, np.stack([_X[:, 0], _X[:, 1] ** 2], 1))
    outliers = IsolationForest(n_estimators=10, random_state=0).fit(_X)
    named = LogisticRegression().fit(_FRAME[["age", "fare"]], _Y > 0)

    def classified(estimator: Any, features: Any) -> Tensors:
        return {"label": estimator.predict(features), "probabilities": estimator.predict_proba(features)}

    def swapped(rng: np.random.Generator, rows: int) -> Tensors:
        return {name: tensor for name, tensor in _frame(rng, rows).items() if name != "sex"}

    def texts(rng: np.random.Generator, rows: int) -> Tensors:
        return {"text": np.array(rng.choice(["free prize", "lunch now", "tomorrow", "win money"], rows), object)}

    return [
        _sklearn("sklearn-frame", mixed, _frame, lambda given: classified(mixed, pd.DataFrame(given)), is_table=True),
        _sklearn("sklearn-named", named, swapped, lambda given: classified(named, pd.DataFrame(given)), is_table=True),
        _sklearn("sklearn-text", text, texts, lambda given: classified(text, given["text"].tolist())),
        _sklearn(
            "sklearn-multi-output",
            forest,
            _normal("X", -1, 4, dtype=np.float64),
            lambda given: {"prediction": forest.predict(given["X"])},
        ),
        _sklearn(
            "sklearn-outliers",
            outliers,
            _normal("X", -1, 4, dtype=np.float64),
            lambda given: {"label": outliers.predict(given["X"]), "scores": outliers.decision_function(given["X"])},
        ),
    ]


def _tree_kinds() -> list[Kind]:
    light = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(_X, _Y)
    boosted = xgboost.XGBRegressor(n_estimators=5).fit(_X, _X[:, 0])
    features = _FRAME[["age", "fare", "sex"]]
    cat = CatBoostClassifier(iterations=5, verbose=0, allow_writing_files=False, cat_features=["sex"]).fit(
        features, np.where(_Y > 0, "yes", "no")
    )
    rows = _normal("X", -1, 4, dtype=np.float64)

    def with_cat(given: Tensors) -> Tensors:
        frame = pd.DataFrame(given)
        return {"label": cat.predict(frame).ravel(), "probabilities": cat.predict_proba(frame)}

    return [
        Kind(
            "lightgbm",
            lambda folder: light.booster_.save_model(folder / "model.txt") and None,
            rows,
            lambda given: {"label": light.predict(given["X"]), "probabilities": light.predict_proba(given["X"])},
        ),
        Kind(
            "xgboost",
            lambda folder: boosted.save_model(folder / "model.ubj"),
            rows,
            lambda given: {"prediction": boosted.predict(given["X"])},
        ),
        Kind("catboost", lambda folder: cat.save_model(str(folder / "model.cbm")), _frame, with_cat, is_table=True),
    ]


def kinds() -> list[Kind]:
    """Return a model of each kind. Fitting them takes a few seconds."""
    return [*_onnx_kinds(), *_sklearn_kinds(), *_tree_kinds()]
