"""BYTES and BF16 through ONNX Runtime: unchanged, or rejected with a reason."""

import hashlib
from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from runtimes.datatypes import NUMPY_OF, Tensor, tensor_of_bytes
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, TensorSpec
from runtimes.onnx.runtime import OnnxRuntime, load_onnx

_TYPES = {
    "BYTES": TensorProto.STRING,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "INT64": TensorProto.INT64,
}
_LOOKUP = {b"\xff\0q": 1, b"q\0": 2, b"ab": 3, b"": 4, b"\xfe": 5, "é".encode(): 6}


def _load(
    nodes: Sequence[onnx.NodeProto], inputs: dict[str, str], outputs: dict[str, str], rank: int = 1
) -> OnnxRuntime:
    def info(tensors: dict[str, str]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, _TYPES[kind], [None] * rank) for name, kind in tensors.items()]

    def specs(tensors: dict[str, str]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name, kind, (-1,) * rank) for name, kind in tensors.items())

    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)]
    model = helper.make_model(helper.make_graph(nodes, "g", info(inputs), info(outputs)), opset_imports=opsets)
    model.ir_version = 8
    content = model.SerializeToString()
    digest = hashlib.sha256(content).hexdigest()
    manifest = Manifest(runtime="onnx", file="model.onnx", sha256=digest, inputs=specs(inputs), outputs=specs(outputs))
    return load_onnx({manifest.file: content}, manifest, LoadOptions())


def _echo(*datatypes: str, rank: int = 1) -> OnnxRuntime:
    """Return a model that returns every x as y."""
    nodes = [helper.make_node("Identity", [f"x{index}"], [f"y{index}"]) for index in range(len(datatypes))]
    inputs = {f"x{index}": datatype for index, datatype in enumerate(datatypes)}
    return _load(nodes, inputs, {name.replace("x", "y"): datatype for name, datatype in inputs.items()}, rank)


@pytest.fixture(scope="module")
def lookup() -> OnnxRuntime:
    """Return a model that numbers the strings it knows. Its output shows which bytes ONNX Runtime received."""
    node = helper.make_node(
        "LabelEncoder",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        keys_strings=list(_LOOKUP),
        values_int64s=list(_LOOKUP.values()),
        default_int64=-1,
    )
    return _load([node], {"x": "BYTES"}, {"y": "INT64"})


def assert_same(one: Tensor, other: Tensor) -> None:
    assert (one.dtype, one.shape, one.tolist()) == (other.dtype, other.shape, other.tolist())


@pytest.mark.parametrize(
    ("elements", "shape"),
    [
        ([b"a", b"", "é".encode(), b"a\0b", b"\0"], (5,)),
        ([b"a"], ()),
        ([b"a"], (1, 1)),
        ([], (0,)),
        ([], (2, 0)),
        ([b"a", b"b", b"c", b"d"], (2, 2)),
    ],
)
def test_text_comes_out_as_it_went_in(elements, shape):
    tensor = tensor_of_bytes(elements, shape)
    assert_same(_echo("BYTES", rank=len(shape)).run({"x0": tensor}, ["y0"])[0], tensor)


@pytest.mark.parametrize(
    "elements",
    [
        [b"\xff\0q"],
        [b"\xff\0q", b"\xff\0q"],
        [b"\xfe", b"ab", b""],
        ["é".encode(), b"q\0", b""],
        [b"unknown", b"\xfe"],
    ],
)
def test_any_bytes_go_in(lookup, elements):
    (answer,) = lookup.run({"x": tensor_of_bytes(elements, (len(elements),))}, ["y"])
    assert answer.tolist() == [_LOOKUP.get(element, -1) for element in elements]


def test_bytes_that_onnx_runtime_would_change_are_not_given_to_it(lookup):
    with pytest.raises(ModelFailed, match=r"send the elements one by one\."):
        lookup.run({"x": tensor_of_bytes([b"\xff\0q", b"ab"], (2,))}, ["y"])


def test_bytes_that_cannot_come_out_are_a_failure():
    with pytest.raises(ModelFailed, match="answers bytes that are not UTF-8"):
        _echo("BYTES").run({"x0": tensor_of_bytes([b"\xff"], (1,))}, ["y0"])


@pytest.mark.parametrize(
    ("values", "shape"), [([1.5, -2, np.inf], (3,)), ([], (0,)), ([1], ()), ([], (2, 0)), ([1, 2], (1, 2))]
)
def test_bf16_comes_out_as_it_went_in(values, shape):
    tensor = np.array(values, NUMPY_OF["BF16"]).reshape(shape)
    assert_same(_echo("BF16", rank=len(shape)).run({"x0": tensor}, ["y0"])[0], tensor)


def test_bf16_may_lie_anyhow_in_memory():
    tensor = np.arange(6).astype(NUMPY_OF["BF16"]).reshape(2, 3).T
    assert_same(_echo("BF16", rank=2).run({"x0": tensor}, ["y0"])[0], tensor)


def test_bf16_and_numbers_go_together():
    runtime = _echo("BF16", "FP32", "INT64")
    tensors = [np.array([1, 2]).astype(NUMPY_OF[datatype]) for datatype in ("BF16", "FP32", "INT64")]
    answer = runtime.run({f"x{index}": tensor for index, tensor in enumerate(tensors)}, ["y2", "y0", "y1"])
    for got, tensor in zip(answer, [tensors[2], tensors[0], tensors[1]], strict=True):
        assert_same(got, tensor)


def test_bytes_and_numbers_go_together():
    tensors = {"x0": tensor_of_bytes([b"a", b"b"], (2,)), "x1": np.array([1, 2], np.float32)}
    answer = _echo("BYTES", "FP32").run(tensors, ["y1", "y0"])
    assert_same(answer[0], tensors["x1"])
    assert_same(answer[1], tensors["x0"])


def test_bf16_that_only_goes_in_may_go_with_bytes():
    nodes = [
        helper.make_node("Identity", ["x0"], ["y0"]),
        helper.make_node("Cast", ["x1"], ["y1"], to=TensorProto.FLOAT),
    ]
    runtime = _load(nodes, {"x0": "BYTES", "x1": "BF16"}, {"y0": "BYTES", "y1": "FP32"})
    inputs = {"x0": tensor_of_bytes([b"a"], (1,)), "x1": np.array([1.5], NUMPY_OF["BF16"])}
    assert [tensor.tolist() for tensor in runtime.run(inputs, ["y0", "y1"])] == [[b"a"], [1.5]]


def test_bf16_that_comes_out_may_not():
    with pytest.raises(ModelRefused, match="cannot give BF16 and handle BYTES in one model"):
        _echo("BYTES", "BF16")


@pytest.mark.parametrize("datatype", ["BYTES", "BF16"])
def test_what_onnx_runtime_refuses_is_a_failure(datatype):
    with pytest.raises(ModelFailed, match="ONNX Runtime: "):
        _echo(datatype).run({}, ["y0"])
