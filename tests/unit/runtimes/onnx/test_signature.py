"""What the manifest may say otherwise than the graph, and what is refused."""

import hashlib

import numpy as np
import pytest
from msgspec import structs

from loadtests.onnx_version import drafted_manifest
from runtimes.errors import ModelRefused
from runtimes.load import load
from runtimes.load_options import LoadOptions
from runtimes.manifest import Example, Manifest, TensorSpec
from runtimes.runtime import Runtime
from tests.support.models import load_one
from tests.support.onnx_kinds import draft, kinds, model_of, node

_KINDS = kinds()
_TWO = model_of(
    [node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["z"])],
    {"x": ("FP32", ["N", 3])},
    {"y": ("FP32", ["N", 3]), "z": ("FP32", ["N", 3])},
)


def _load(content: bytes, **change: object) -> Runtime:
    files = {"model.onnx": content}
    return load(files, drafted_manifest(files, draft(files, "model.onnx"), **change), LoadOptions())


def test_some_outputs_may_be_left_out_and_names_mapped():
    runtime = _load(
        _TWO,
        inputs=(TensorSpec("features", "FP32", (-1, 3), source="x"),),
        outputs=(TensorSpec("score", "FP32", (-1, 3), source="z"),),
    )
    np.testing.assert_array_equal(runtime.run({"features": np.ones((2, 3), "f4")}, ["score"])[0], -np.ones((2, 3)))


def test_outputs_may_change_their_names_with_each_other():
    specs = (TensorSpec("z", "FP32", (-1, 3), source="y"), TensorSpec("y", "FP32", (-1, 3), source="z"))
    relu, neg = _load(_TWO, outputs=specs).run({"x": np.ones((1, 3), "f4")}, ["z", "y"])
    assert (relu[0, 0], neg[0, 0]) == (1, -1)


def test_an_output_that_the_model_does_not_have_is_refused_with_those_it_has():
    with pytest.raises(ModelRefused, match=r"declares the outputs w; the model has y, z\. .*as `source`"):
        _load(_TWO, outputs=(TensorSpec("w", "FP32", (-1, 3)),))


def test_doubles_are_converted():
    runtime = _load(_TWO, inputs=(TensorSpec("x", "FP64", (-1, 3)),), outputs=(TensorSpec("y", "FP64", (-1, 3)),))
    assert runtime.run({"x": np.ones((1, 3))}, ["y"])[0].dtype == np.float64


def test_batch_1_is_run_once_for_each_instance():
    kind = _KINDS["fixed_batch"]
    runtime = _load(
        kind.files["model.onnx"],
        inputs=(TensorSpec("x", "FP32", (-1, 3, 8, 8)),),
        outputs=(TensorSpec("y", "FP32", (-1, 5)),),
    )
    images = np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype("f4")
    (together,) = runtime.run({"x": images}, ["y"])
    for row in range(4):
        np.testing.assert_array_equal(together[row : row + 1], runtime.run({"x": images[row : row + 1]}, ["y"])[0])
    assert runtime.unbatched_because == "the model takes one instance at a time"


def test_another_fixed_batch_is_refused():
    content = model_of([node("Relu", ["x"], ["y"])], {"x": ("FP32", [8, 3])}, {"y": ("FP32", [8, 3])})
    with pytest.raises(ModelRefused, match=r"its input x is FP32 \[8, 3\] and not FP32 \[-1, 3\]"):
        _load(content, inputs=(TensorSpec("x", "FP32", (-1, 3)),))


def test_a_narrower_input_than_the_graphs_may_be_declared():
    content = model_of([node("Relu", ["x"], ["y"])], {"x": ("FP32", ["N", "F"])}, {"y": ("FP32", ["N", "F"])})
    specs = {"inputs": (TensorSpec("x", "FP32", (-1, 5)),), "outputs": (TensorSpec("y", "FP32", (-1, 5)),)}
    assert _load(content, **specs).run({"x": np.ones((1, 5), "f4")}, ["y"])[0].shape == (1, 5)


def test_the_warm_up_says_what_was_tried_and_what_to_write():
    """No size that is tried is a multiple of 77."""
    nodes = [node("Reshape", ["x", "shape"], ["y"])]
    content = model_of(nodes, {"x": ("FP32", [1, "L"])}, {"y": ("FP32", ["A", 77])}, {"shape": np.array([-1, 77])})
    specs = {"runtime": "onnx", "file": "model.onnx", "sha256": hashlib.sha256(content).hexdigest()}
    specs |= {"batch": "none", "outputs": (TensorSpec("y", "FP32", (-1, 77)),)}
    taken = TensorSpec("x", "FP32", (1, -1))
    with pytest.raises(ModelRefused, match=r"Tried with x = zeros \[1, 1\].*give an example in model\.yaml"):
        load_one(content, Manifest(**specs, inputs=(taken,)))
    assert load_one(content, Manifest(**specs, inputs=(structs.replace(taken, example=Example((1, 154))),)))


@pytest.mark.parametrize(("shape", "is_right"), [((-1, 4), True), ((-1, -1), True), ((), False), ((-1,), False)])
def test_a_rank_that_the_graph_does_not_say_is_held_against_the_answers(shape, is_right):
    content = _KINDS["no_rank"].files["model.onnx"]
    if is_right:
        assert _load(content, outputs=(TensorSpec("y", "FP32", shape),))
        return
    with pytest.raises(ModelRefused, match=r"returned y as float32 \[1, 4\]; its signature says FP32"):
        _load(content, outputs=(TensorSpec("y", "FP32", shape),))


def test_maps_without_columns_are_refused_with_what_to_write():
    content = _KINDS["zipmap"].files["model.onnx"]
    with pytest.raises(ModelRefused, match=r"output_probability is made of maps\. Name their keys as its `columns`"):
        _load(content, outputs=(TensorSpec("output_probability", "FP32", (-1, 2)),))


def test_columns_choose_and_order_the_keys_and_a_missing_key_is_0():
    content = _KINDS["zipmap"].files["model.onnx"]
    columns = ("virginica", "unheard", "setosa")
    spec = TensorSpec("output_probability", "FP32", (-1, 3), columns)
    feed = {"X": np.ones((2, 4), "f4")}
    (chosen,) = _load(content, outputs=(spec,)).run(feed, ["output_probability"])
    (whole,) = _load(content).run(feed, ["output_probability"])
    np.testing.assert_array_equal(chosen, np.stack([whole[:, 2], np.zeros(2, "f4"), whole[:, 0]], axis=1))


def test_a_map_without_columns_in_the_manifest_has_those_of_the_graph():
    content = _KINDS["zipmap"].files["model.onnx"]
    assert _load(content, outputs=(TensorSpec("output_probability", "FP32", (-1, 3)),))


def test_an_opset_that_is_too_new_is_refused_with_the_versions():
    content = model_of([node("Relu", ["x"], ["y"])], {"x": ("FP32", ["N", 3])}, {"y": ("FP32", ["N", 3])}, opset=99)
    with pytest.raises(ModelRefused, match=r"Opset 99 .*till opset \d+\. This is ONNX Runtime 1\..* older opset"):
        draft({"m.onnx": content}, "m.onnx")


def test_an_operator_that_is_not_there_is_refused_with_the_setting():
    content = model_of(
        [node("Fancy", ["x"], ["y"], domain="my.ops")], {"x": ("FP32", ["N", 3])}, {"y": ("FP32", ["N", 3])}
    )
    with pytest.raises(ModelRefused, match=r"name that library in POINTSMAN_CUSTOM_OPERATORS\."):
        draft({"m.onnx": content}, "m.onnx")


def test_a_library_that_is_not_there_is_refused():
    files = {"model.onnx": _TWO}
    manifest = drafted_manifest(files, draft(files, "model.onnx"))
    with pytest.raises(ModelRefused, match=r"library of operators /nowhere/libops\.so cannot be loaded"):
        load(files, manifest, LoadOptions(custom_operators=("/nowhere/libops.so",)))
