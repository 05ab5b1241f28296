"""ONNX models of the kinds that people have, each with requests, and the answers of ONNX Runtime itself."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from loadtests.onnx_version import drafted_manifest
from loadtests.soak.models import ONNX_OF
from runtimes.datatypes import Tensor
from runtimes.draft import Draft
from runtimes.kinds import drafter_of
from runtimes.load import load
from runtimes.load_options import LoadOptions
from runtimes.runtime import Runtime

Feed = dict[str, Tensor]
_TYPES = {
    "FP32": TensorProto.FLOAT,
    "FP16": TensorProto.FLOAT16,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}
_TYPES |= {"INT64": TensorProto.INT64, "INT32": TensorProto.INT32, "BOOL": TensorProto.BOOL}
node = helper.make_node


class Kind(NamedTuple):
    """A model: its files, and a function that makes a request out of a generator. The first file is the model."""

    files: Mapping[str, bytes]
    request: Callable[[np.random.Generator], Feed]
    batch: int | str = 0
    is_merged: bool = False

    @property
    def file(self) -> str:
        return next(iter(self.files))


def model_of(
    nodes: Sequence[Any],
    inputs: Mapping[str, tuple[str, Sequence[Any]]],
    outputs: Mapping[str, tuple[str, Sequence[Any] | None]],
    constants: Mapping[str, Any] | None = None,
    **more: Any,
) -> bytes:
    """Return a model. A dimension is a number, a name, or None. An output's shape may be None."""
    infos = [
        [helper.make_tensor_value_info(name, ONNX_OF[datatype], shape) for name, (datatype, shape) in tensors.items()]
        for tensors in (inputs, outputs)
    ]
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "model", *infos, values)
    opsets = [helper.make_opsetid("", more.pop("opset", 17)), helper.make_opsetid("ai.onnx.ml", 3)]
    content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8, **more).SerializeToString()
    return content


def draft(files: Mapping[str, bytes], file: str, said: Mapping[str, Any] | None = None) -> Draft:
    return drafter_of("onnx")(files, file, LoadOptions(), said or {})


def loaded(files: Mapping[str, bytes], file: str, said: Mapping[str, Any] | None = None, **change: Any) -> Runtime:
    """Draft a manifest and load the version."""
    return load(files, drafted_manifest(files, draft(files, file, said), **change), LoadOptions())


def directly(files: Mapping[str, bytes], file: str) -> Callable[[Feed], dict[str, Any]]:
    """Return a function that runs a model with ONNX Runtime alone, from files on the disk."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        session = onnxruntime.InferenceSession(Path(folder) / file, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]

    def run(feed: Feed) -> dict[str, Any]:
        texts = {
            name: np.array([each.decode() for each in tensor.ravel()], object).reshape(tensor.shape)
            if tensor.dtype == object
            else tensor
            for name, tensor in feed.items()
        }
        return dict(zip(names, session.run(names, texts), strict=True))

    return run


def as_tensor(answer: Any) -> Tensor:
    """Return an answer of ONNX Runtime as callers get it."""
    if isinstance(answer, list) and isinstance(answer[0], dict):
        return np.array([list(row.values()) for row in answer], np.float32)
    if isinstance(answer, list):
        return np.stack(answer)
    tensor: Tensor = answer
    if tensor.dtype == object:
        tensor = np.array([each.encode() for each in tensor.ravel()], object).reshape(tensor.shape)
    return tensor


def assert_same(answer: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    """Compare exactly but for the last bits of floats, which the number of rows of a run may change."""
    assert answer.shape == expected.shape
    if expected.dtype.kind == "f":
        relative = tolerance if expected.dtype.itemsize > 2 else 10 * tolerance
        np.testing.assert_allclose(answer, expected, rtol=relative, atol=tolerance / 10)
    else:
        assert answer.tolist() == expected.tolist()


def kinds() -> dict[str, Kind]:
    """Return every kind by name."""
    return {name.removeprefix("_kind_"): make() for name, make in globals().items() if name.startswith("_kind_")}


def _random(*shape: int, seed: int = 0) -> Tensor:
    return np.random.default_rng(seed).normal(size=shape).astype("f4")


def _rows(generator: np.random.Generator) -> int:
    return int(generator.integers(1, 5))


def _kind_mlp() -> Kind:
    nodes = [
        node("Gemm", ["x", "w1", "b1"], ["h"]),
        node("Relu", ["h"], ["r"]),
        node("MatMul", ["r", "w2"], ["logits"]),
        node("Softmax", ["logits"], ["y"], axis=1),
    ]
    constants = {"w1": _random(6, 8), "b1": _random(8), "w2": _random(8, 3)}
    content = model_of(nodes, {"x": ("FP32", ["batch", 6])}, {"y": ("FP32", ["batch", 3])}, constants)
    return Kind({"model.onnx": content}, lambda g: {"x": g.normal(size=(_rows(g), 6)).astype("f4")}, is_merged=True)


def _kind_lstm() -> Kind:
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        node("LSTM", ["t", "w", "r"], ["", "h"], hidden_size=4),
        node("Squeeze", ["h", "zero"], ["y"]),
    ]
    constants = {"w": _random(1, 16, 3), "r": _random(1, 16, 4), "zero": np.array([0])}
    content = model_of(nodes, {"x": ("FP32", ["N", "T", 3])}, {"y": ("FP32", ["N", 4])}, constants)
    return Kind(
        {"model.onnx": content},
        lambda g: {"x": g.normal(size=(_rows(g), g.integers(1, 6), 3)).astype("f4")},
        is_merged=True,
    )


def _kind_dynamic_quantization() -> Kind:
    """Make the model of which answers depended on strangers' requests: one scale for all rows."""
    table = np.random.default_rng(0).random((98, 4)) * np.logspace(-1, 2, 98)[:, None]
    table = np.concatenate([[[0, 0.25, 0.5, 1], [1, 0.5, 0.25, 0]], table]).astype("f4")
    nodes = [
        node("Gather", ["e", "ids"], ["h"]),
        node("DynamicQuantizeLinear", ["h"], ["q", "s", "z"]),
        node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    content = model_of(nodes, {"ids": ("INT64", ["B", "S"])}, {"y": ("FP32", ["B", "S", 4])}, {"e": table})
    return Kind({"model.onnx": content}, lambda g: {"ids": g.integers(2, 100, (1, 2))})


def _kind_unet() -> Kind:
    nodes = [
        node("Conv", ["x", "a"], ["c"], pads=[1] * 4),
        node("MaxPool", ["c"], ["p"], kernel_shape=[4, 4], strides=[4, 4]),
        node("ConvTranspose", ["p", "b"], ["u"], strides=[4, 4]),
        node("Concat", ["u", "c"], ["k"], axis=1),
        node("Conv", ["k", "d"], ["y"]),
    ]
    shape = ["N", 1, "H", "W"]
    constants = {"a": _random(4, 1, 3, 3), "b": _random(4, 4, 4, 4), "d": _random(1, 8, 1, 1)}
    content = model_of(nodes, {"x": ("FP32", shape)}, {"y": ("FP32", shape)}, constants)

    def request(g: np.random.Generator) -> Feed:
        return {"x": g.normal(size=(_rows(g), 1, 4 * g.integers(1, 5), 4 * g.integers(1, 5))).astype("f4")}

    return Kind({"model.onnx": content}, request, is_merged=True)


def _kind_upscale() -> Kind:
    nodes = [node("Resize", ["x", "", "scale"], ["y"], mode="nearest")]
    inputs = {"x": ("FP32", [1, 1, "H", "W"]), "scale": ("FP32", [4])}
    content = model_of(nodes, inputs, {"y": ("FP32", [1, 1, "A", "B"])})
    return Kind(
        {"model.onnx": content},
        lambda g: {
            "x": g.normal(size=(1, 1, 4, g.integers(1, 6))).astype("f4"),
            "scale": np.array([1, 1, 2, g.integers(1, 4)], "f4"),
        },
    )


def _kind_no_rank() -> Kind:
    """Make a graph that does not say the rank of its output."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [node("Identity", ["c"], ["co"]), node("Identity", ["v"], ["vo"])],
        "body",
        [info("i", TensorProto.INT64, []), info("c", TensorProto.BOOL, []), info("v", TensorProto.FLOAT, None)],
        [info("co", TensorProto.BOOL, []), info("vo", TensorProto.FLOAT, None)],
    )
    nodes = [node("Loop", ["one", "t", "x"], ["y"], body=body)]
    constants = {"one": np.array(1), "t": np.array(True)}
    content = model_of(nodes, {"x": ("FP32", [None, 4])}, {"y": ("FP32", None)}, constants)
    return Kind({"model.onnx": content}, lambda g: {"x": g.normal(size=(_rows(g), 4)).astype("f4")}, is_merged=True)


def _kind_wave() -> Kind:
    nodes = [node("ReduceMean", ["x"], ["y"], axes=[0], keepdims=0)]
    content = model_of(nodes, {"x": ("FP32", ["T"])}, {"y": ("FP32", [])})
    return Kind({"model.onnx": content}, lambda g: {"x": g.normal(size=80_000).astype("f4")}, "none")


def _kind_vectors() -> Kind:
    """Make three vectors whose lengths have nothing to do with each other."""
    nodes = [node("Identity", [f"INPUT{each}"], [f"OUTPUT{each}"]) for each in range(3)]
    inputs = {f"INPUT{each}": ("FP32", [None]) for each in range(3)}
    content = model_of(nodes, inputs, {f"OUTPUT{each}": ("FP32", [None]) for each in range(3)})
    return Kind(
        {"model.onnx": content},
        lambda g: {name: g.normal(size=g.integers(1, 4)).astype("f4") for name in inputs},
        "none",
    )


def _kind_batch_in_the_middle() -> Kind:
    nodes = [node("GRU", ["x", "w", "r"], ["", "h"], hidden_size=4)]
    constants = {"w": _random(1, 12, 3), "r": _random(1, 12, 4)}
    content = model_of(nodes, {"x": ("FP32", ["seq", "batch", 3])}, {"h": ("FP32", [1, "batch", 4])}, constants)
    return Kind(
        {"model.onnx": content},
        lambda g: {"x": g.normal(size=(g.integers(1, 5), _rows(g), 3)).astype("f4")},
        "none",
    )


def _kind_fixed_batch() -> Kind:
    nodes = [node("Conv", ["x", "w"], ["c"]), node("GlobalAveragePool", ["c"], ["p"]), node("Flatten", ["p"], ["y"])]
    content = model_of(nodes, {"x": ("FP32", [1, 3, 8, 8])}, {"y": ("FP32", [1, 5])}, {"w": _random(5, 3, 3, 3)})
    return Kind({"model.onnx": content}, lambda g: {"x": g.normal(size=(1, 3, 8, 8)).astype("f4")})


def _kind_scalar() -> Kind:
    nodes = [node("Mul", ["x", "factor"], ["y"]), node("Identity", ["factor"], ["used"])]
    inputs = {"x": ("FP32", ["N", 3]), "factor": ("FP32", [])}
    content = model_of(nodes, inputs, {"y": ("FP32", ["N", 3]), "used": ("FP32", [])})
    return Kind(
        {"model.onnx": content},
        lambda g: {"x": g.normal(size=(_rows(g), 3)).astype("f4"), "factor": np.array(g.normal(), "f4")},
    )


def _kind_half() -> Kind:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    constants = {"w": _random(4, 2).astype("f2")}
    content = model_of(nodes, {"x": ("FP16", ["N", 4])}, {"y": ("FP16", ["N", 2])}, constants)
    return Kind({"model.onnx": content}, lambda g: {"x": g.normal(size=(_rows(g), 4)).astype("f2")}, is_merged=True)


def _kind_numbers_as_text() -> Kind:
    """Make a model that fails on empty strings."""
    nodes = [node("Cast", ["x"], ["n"], to=TensorProto.INT32), node("Add", ["n", "n"], ["y"])]
    content = model_of(nodes, {"x": ("BYTES", ["N", 2])}, {"y": ("INT32", ["N", 2])})

    def request(g: np.random.Generator) -> Feed:
        numbers = g.integers(0, 1000, (_rows(g), 2))
        return {"x": np.array([b"%d" % each for each in numbers.ravel()], object).reshape(numbers.shape)}

    return Kind({"model.onnx": content}, request, is_merged=True)


def _kind_zipmap() -> Kind:
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    features, numbers = load_iris(return_X_y=True)
    labels = np.array(["setosa", "versicolor", "virginica"])[numbers]
    estimator = LogisticRegression(max_iter=500).fit(features, labels)
    content = to_onnx(estimator, features[:1].astype("f4"), options={"zipmap": True}).SerializeToString()
    return Kind({"model.onnx": content}, lambda g: {"X": g.uniform(0, 8, (_rows(g), 4)).astype("f4")}, is_merged=True)


def _kind_sequence() -> Kind:
    """Make a model whose output is a sequence of two tensors, which have the rows."""
    nodes = [node("Neg", ["x"], ["n"]), node("SequenceConstruct", ["x", "n"], ["y"])]
    made = onnx.load_from_string(model_of(nodes, {"x": ("FP32", ["N", 3])}, {}))
    made.graph.output.append(helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None))
    return Kind(
        {"model.onnx": made.SerializeToString()},
        lambda g: {"x": g.normal(size=(_rows(g), 3)).astype("f4")},
        is_merged=True,
    )


def _kind_external() -> Kind:
    """Make a model with its weights in two files, one of them in a folder."""
    nodes = [node("MatMul", ["x", "w"], ["h"]), node("Add", ["h", "b"], ["y"])]
    constants = {"w": _random(512, 64), "b": _random(64)}
    content = model_of(nodes, {"x": ("FP32", ["N", 512])}, {"y": ("FP32", ["N", 64])}, constants)
    model, files = onnx.load_from_string(content), {}
    for tensor, file in zip(model.graph.initializer, ("model.onnx.data", "weights/bias.bin"), strict=True):
        files[file] = put_outside(tensor, file)
    return Kind(
        {"model.onnx": model.SerializeToString(), **files},
        lambda g: {"x": g.normal(size=(_rows(g), 512)).astype("f4")},
        is_merged=True,
    )


def put_outside(tensor: Any, location: str, **entries: Any) -> bytes:
    """Make a tensor external, and return the content of its file."""
    content: bytes = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": location, "offset": 0, "length": len(content)} | entries).items():
        tensor.external_data.add(key=key, value=str(value))
    return content


def _kind_past_and_present() -> Kind:
    """Make a decoder's step: one dimension is the sum of two others."""
    nodes = [
        node("Concat", ["past", "x"], ["present"], axis=1),
        node("Mul", ["present", "mask"], ["masked"]),
        node("ReduceSum", ["masked", "one"], ["y"], keepdims=0),
    ]
    inputs = {
        "x": ("FP32", ["batch", "sequence", 2]),
        "past": ("FP32", ["batch", "past_sequence", 2]),
        "mask": ("FP32", ["batch", "past_sequence + sequence", 1]),
    }
    content = model_of(nodes, inputs, {"y": ("FP32", ["batch", 2])}, {"one": np.array([1])})

    def request(g: np.random.Generator) -> Feed:
        rows, new, old = g.integers(1, 4, 3)
        shapes = {"x": (rows, new, 2), "past": (rows, old, 2), "mask": (rows, new + old, 1)}
        return {name: g.normal(size=shape).astype("f4") for name, shape in shapes.items()}

    return Kind({"model.onnx": content}, request, is_merged=True)


def _kind_catboost_regressor() -> Kind:
    """Make the model that says [N] and answers [N, 1]."""
    import catboost

    return _of_catboost(catboost.CatBoostRegressor, _random(50, 3) @ np.array([1, 2, 3]))


def _kind_catboost_classifier() -> Kind:
    import catboost

    return _of_catboost(catboost.CatBoostClassifier, np.arange(50) % 3)


def _of_catboost(estimator: Any, target: Any) -> Kind:
    made = estimator(iterations=5, verbose=0, allow_writing_files=False, random_seed=0, thread_count=1)
    made.fit(_random(50, 3), target)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        made.save_model(str(path), format="onnx")
        files = {"model.onnx": path.read_bytes()}
    return Kind(files, lambda g: {"features": g.normal(size=(_rows(g), 3)).astype("f4")}, is_merged=True)
