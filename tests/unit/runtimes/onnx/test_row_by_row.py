"""What the graph says against merging, and what it does not say."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from runtimes.onnx import row_by_row
from runtimes.onnx.row_by_row import why_rows_mix
from tests.support.onnx_kinds import model_of, node

_X = {"x": ("FP32", ["N", 4])}
_Y = {"y": ("FP32", None)}


def _why(*nodes: object, constants: object = None, **more: object) -> str:
    return why_rows_mix(onnx.load_from_string(model_of(nodes, _X, _Y, constants, **more)))


@pytest.mark.parametrize(
    "mixing",
    [
        node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"]),
        node("DynamicQuantizeMatMul", ["x", "w"], ["y"], domain="com.microsoft"),
        node("NonZero", ["x"], ["y"]),
        node("Unique", ["x"], ["y"]),
        node("Compress", ["x", "mask"], ["y"]),
        node("Compress", ["x", "mask"], ["y"], axis=0),
        node("ReduceMean", ["x"], ["y"], axes=[0]),
        node("ReduceMax", ["x"], ["y"]),
        node("ReduceSum", ["x", "zero"], ["y"]),
        node("ReduceSum", ["x", "x"], ["y"]),
        node("Softmax", ["x"], ["y"], axis=0),
        node("ArgMax", ["x"], ["y"]),
        node("TopK", ["x", "zero"], ["y", "i"], axis=0),
        node("CumSum", ["x", "zero"], ["y"]),
        node("BatchNormalization", ["x", "w", "w", "w", "w"], ["y", "m", "v"], training_mode=1),
        node("MeanVarianceNormalization", ["x"], ["y"]),
        node("Dropout", ["x", "w", "yes"], ["y"]),
        node("RandomNormalLike", ["x"], ["y"]),
        node("RandomUniform", [], ["y"], shape=[3]),
        node("StringNormalizer", ["x"], ["y"], stopwords=["a"]),
        node("StringSplit", ["x"], ["y", "n"]),
    ],
    ids=lambda each: f"{each.op_type}({', '.join(each.input)})",
)
def test_an_operator_over_all_rows_is_named(mixing):
    constants = {"zero": np.array([0]), "w": np.ones(4, "f4"), "yes": np.array(True), "mask": np.array([True])}
    assert f"the operator {mixing.op_type} " in _why(mixing, constants=constants)


@pytest.mark.parametrize(
    "harmless",
    [
        node("ReduceMean", ["x"], ["y"], axes=[1]),
        node("ReduceMean", ["x"], ["y"], axes=[-1]),
        node("ReduceSum", ["x", "one"], ["y"]),
        node("ReduceSum", ["x", "none"], ["y"], noop_with_empty_axes=1),
        node("Softmax", ["x"], ["y"]),
        node("ArgMax", ["x"], ["y"], axis=1),
        node("TopK", ["x", "one"], ["y", "i"]),
        node("CumSum", ["x", "one"], ["y"]),
        node("BatchNormalization", ["x", "w", "w", "w", "w"], ["y"]),
        node("Dropout", ["x"], ["y"]),
        node("Dropout", ["x", "w", "no"], ["y"]),
        node("LayerNormalization", ["x", "w"], ["y"]),
        node("ReduceMax", ["w"], ["y"]),
        node("NonZero", ["w"], ["y"]),
    ],
    ids=lambda each: f"{each.op_type}({', '.join(each.input)})",
)
def test_an_operator_inside_a_row_is_not(harmless):
    constants = {"one": np.array([1]), "none": np.zeros(0, "i8"), "w": np.ones(4, "f4"), "no": np.array(False)}
    assert _why(harmless, constants=constants) == ""


def test_arithmetic_on_shapes_is_no_sign():
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("ReduceProd", ["s"], ["n"], keepdims=0),
        node("Reshape", ["x", "s"], ["y"]),
    ]
    assert _why(*nodes) == ""


def test_what_only_follows_from_an_input_counts_too():
    assert "ReduceMax" in _why(
        node("Relu", ["x"], ["h"]), node("ReduceMax", ["h"], ["m"]), node("Div", ["x", "m"], ["y"])
    )


def test_axes_may_come_from_a_node():
    axes = node("Constant", [], ["axes"], value_ints=[0])
    assert "ReduceSum" in _why(axes, node("ReduceSum", ["x", "axes"], ["y"]))


def test_branches_see_the_values_around_them():
    info = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    branch = helper.make_graph([node("ReduceMax", ["x"], ["z"])], "branch", [], [info])
    nodes = [node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)]
    assert "ReduceMax" in _why(*nodes, constants={"yes": np.array(True)})


def test_bodies_of_loops_take_what_the_loop_takes():
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [node("ReduceMax", ["v"], ["vo"]), node("Identity", ["c"], ["co"])],
        "body",
        [info("i", TensorProto.INT64, []), info("c", TensorProto.BOOL, []), info("v", TensorProto.FLOAT, None)],
        [info("co", TensorProto.BOOL, []), info("vo", TensorProto.FLOAT, None)],
    )
    constants = {"one": np.array(1), "yes": np.array(True), "w": np.ones(4, "f4")}
    assert "ReduceMax" in _why(node("Loop", ["one", "yes", "x"], ["y"], body=body), constants=constants)
    assert _why(node("Loop", ["one", "yes", "w"], ["y"], body=body), constants=constants) == ""


@pytest.mark.parametrize(("axis", "mixes"), [(0, True), (1, False)])
def test_functions_are_looked_into_with_the_attributes_of_the_call(axis, mixes):
    inner = node("ArgMax", ["a"], ["b"])
    reference = inner.attribute.add(name="axis", type=onnx.AttributeProto.INT)
    reference.ref_attr_name = "along"
    function = helper.make_function(
        "local", "Best", ["a"], ["b"], [inner], [helper.make_opsetid("", 17)], attributes=["along"]
    )
    call = node("Best", ["x"], ["y"], domain="local", along=axis)
    assert bool(_why(call, functions=[function])) == mixes


def test_a_function_that_calls_itself_is_not_followed_for_ever():
    function = helper.make_function(
        "local", "Self", ["a"], ["b"], [node("Self", ["a"], ["b"], domain="local")], [helper.make_opsetid("local", 1)]
    )
    assert "call each other too deeply" in _why(node("Self", ["x"], ["y"], domain="local"), functions=[function])


def test_functions_that_multiply_are_not_followed_for_ever(monkeypatch):
    assert row_by_row._MOST_NODES <= 1_000_000  # to visit so many takes seconds
    monkeypatch.setattr(row_by_row, "_MOST_NODES", 50_000)
    opset = [helper.make_opsetid("local", 1)]
    functions = [
        helper.make_function(
            "local", f"F{depth}", ["a"], ["b"],
            [node(f"F{depth + 1}", ["a"], ["b"], domain="local") for _ in range(10)], opset,
        )
        for depth in range(20)
    ]  # fmt: skip
    assert "too large to look into" in _why(node("F0", ["x"], ["y"], domain="local"), functions=functions)
