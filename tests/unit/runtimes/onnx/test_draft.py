"""Drafts: what is read, what is tried, what a person may say, and what the remarks say."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from loadtests.onnx_version import drafted_manifest
from runtimes.errors import ModelRefused
from runtimes.manifest import Example, TensorSpec
from runtimes.manifest_text import manifest_to_yaml, parse_manifest
from tests.support.onnx_kinds import draft, kinds, loaded, model_of, node

_KINDS = kinds()


def _draft(nodes, inputs, outputs, constants=None, said=None, **more):
    return draft({"m.onnx": model_of(nodes, inputs, outputs, constants, **more)}, "m.onnx", said)


def _said(drafted) -> str:
    return "\n".join(drafted.remarks)


@pytest.mark.parametrize("name", _KINDS)
def test_a_draft_can_be_written_and_read_back(name):
    kind = _KINDS[name]
    manifest = drafted_manifest(kind.files, draft(kind.files, kind.file))
    assert parse_manifest(manifest_to_yaml(manifest)) == manifest


@pytest.mark.parametrize(
    ("dims", "batch"),
    [
        (["N", 4], 0), ([None, 4], 0), (["batch_size", 4], 0), (["unk__7", 4], 0), (["anything", 4], 0),
        (["T", 4], "none"), (["time", 4], "none"), (["n_frames", 4], 0), (["seq_len", 4], "none"),
        (["samples"], "none"), (["num_samples"], "none"), (["num_samples", 4], 0), ([3, 4], 0), (["N"], 0),
    ],
)  # fmt: skip
def test_names_of_the_first_dimension_tell_time_from_instances(dims, batch):
    drafted = _draft([node("Relu", ["x"], ["y"])], {"x": ("FP32", dims)}, {"y": ("FP32", dims)})
    assert drafted.more.get("batch", 0) == batch


def test_rows_of_no_name_that_change_each_other_are_time():
    smoothing = node("Conv", ["c", "w"], ["s"], pads=[1, 1])
    nodes = [node("Unsqueeze", ["x", "axes"], ["c"]), smoothing, node("Squeeze", ["s", "axes"], ["y"])]
    constants = {"axes": np.array([0, 1]), "w": np.ones((1, 1, 3), "f4")}
    drafted = _draft(nodes, {"x": ("FP32", [None])}, {"y": ("FP32", [None])}, constants)
    assert drafted.more == {"batch": "none"}
    assert "it may be time" not in _said(drafted)
    assert "its first dimension may be time" in _said(drafted)


def test_a_person_may_say_otherwise():
    nodes, inputs = [node("Relu", ["x"], ["y"])], {"x": ("FP32", ["T", 4])}
    assert _draft(nodes, inputs, {"y": ("FP32", ["T", 4])}, said={"batch": 0}).more == {}


def test_several_inputs_of_one_batch_count_it():
    nodes = [node("Add", ["a", "b"], ["y"])]
    drafted = _draft(nodes, {"a": ("FP32", [None, 2]), "b": ("FP32", [None, 2])}, {"y": ("FP32", [None, 2])})
    assert drafted.more == {}


def test_an_answer_that_does_not_follow_its_input_is_of_one_request():
    nodes = [node("ReduceMax", ["x"], ["y"], axes=[0], keepdims=0)]
    drafted = _draft(nodes, {"x": ("FP32", [None, 4])}, {"y": ("FP32", [4])})
    assert drafted.more == {"batch": "none"}
    assert "y does not have one row for each instance, so a request is one instance. If that is wrong" in _said(drafted)


def test_a_fixed_output_beside_rows_is_described_as_fixed():
    nodes = [node("Relu", ["x"], ["y"]), node("Identity", ["w"], ["weights"])]
    drafted = _draft(
        nodes, {"x": ("FP32", ["N", 2])}, {"y": ("FP32", ["N", 2]), "weights": ("FP32", [3])}, {"w": np.ones(3, "f4")}
    )
    assert [spec.shape for spec in drafted.outputs] == [(-1, 2), (3,)]
    assert drafted.more == {}


def test_the_real_rank_is_taken_and_said():
    drafted = draft(_KINDS["catboost_regressor"].files, "model.onnx")
    assert drafted.outputs == (TensorSpec("predictions", "FP32", (-1, 1)),)
    assert "The graph says [-1] of predictions, but the model answers [-1, 1]." in _said(drafted)


def test_a_rank_that_is_not_in_the_graph_is_found():
    drafted = draft(_KINDS["no_rank"].files, "model.onnx")
    assert drafted.outputs == (TensorSpec("y", "FP32", (-1, 4)),)
    assert "The graph does not say the shape of y" in _said(drafted)


@pytest.mark.parametrize(
    ("name", "columns"),
    [("zipmap", ("setosa", "versicolor", "virginica")), ("catboost_classifier", ("0", "1", "2"))],
)
def test_maps_become_columns(name, columns):
    drafted = draft(_KINDS[name].files, "model.onnx")
    assert [spec.columns for spec in drafted.outputs] == [(), columns]
    assert "3 columns are their keys (from the graph)" in _said(drafted)


@pytest.mark.parametrize(
    ("name", "examples"),
    [
        ("mlp", {}),
        ("unet", {"x": Example((1, 1, 8, 8))}),
        ("upscale", {"x": Example((1, 1, 1, 1)), "scale": Example((4,), 1)}),
        ("numbers_as_text", {"x": Example((1, 2), "0")}),
    ],
)
def test_examples_are_written_where_zeros_of_size_1_are_no_input(name, examples):
    drafted = draft(_KINDS[name].files, "model.onnx")
    assert {spec.name: spec.example for spec in drafted.inputs if spec.example} == examples
    assert ("examples that it does answer are written" in _said(drafted)) == bool(examples)


def test_a_rank_that_depends_on_the_number_of_instances_means_one_instance():
    drafted = _draft([node("Squeeze", ["x"], ["y"])], {"x": ("FP32", ["batch", 3])}, {"y": ("FP32", None)})
    assert drafted.inputs == (TensorSpec("x", "FP32", (1, 3)),)
    assert drafted.outputs == (TensorSpec("y", "FP32", (3,)),)
    assert "It answers several instances with another number of dimensions" in _said(drafted)


def test_the_sampling_rate_is_known():
    nodes = [node("Sub", ["sr", "rate"], ["at"]), node("Gather", ["x", "at"], ["y"])]  # fails but for 8,000
    inputs = {"x": ("FP32", [1]), "sr": ("INT64", [1])}
    drafted = _draft(nodes, inputs, {"y": ("FP32", [1])}, {"rate": np.array([8000])})
    assert drafted.inputs[1].example == Example((1,), 8000)


def test_a_persons_example_is_used():
    nodes = [node("Reshape", ["x", "shape"], ["y"])]
    said = {"inputs": [{"name": "x", "example": {"shape": [1, 35]}}]}
    drafted = _draft(nodes, {"x": ("FP32", [1, "L"])}, {"y": ("FP32", [5, 7])}, {"shape": np.array([5, 7])}, said)
    assert drafted.inputs == (TensorSpec("x", "FP32", (1, -1), example=Example((1, 35))),)


@pytest.mark.parametrize(
    ("example", "words"),
    [
        ({"shape": [1, 2, 3]}, "does not fit it"),
        ({"data": [["a"]]}, "does not fit it"),
        ({"form": 1}, "cannot be read"),
    ],
)
def test_a_persons_example_that_is_none_is_refused(example, words):
    with pytest.raises(ModelRefused, match=words):
        _draft(
            [node("Relu", ["x"], ["y"])], {"x": ("FP32", [1, "L"])}, {"y": ("FP32", [1, "L"])},
            said={"inputs": [{"name": "x", "example": example}]},
        )  # fmt: skip


def test_a_model_that_answers_nothing_that_was_tried_is_refused_with_what_to_write():
    nodes = [node("Reshape", ["x", "shape"], ["y"])]
    with pytest.raises(ModelRefused, match=r"No input was found .*the last error was: .*partial model\.yaml, such as"):
        _draft(nodes, {"x": ("FP32", [1, "L"])}, {"y": ("FP32", [5, 7])}, {"shape": np.array([5, 7])})


def test_names_for_callers_may_be_said():
    said = {"inputs": [{"name": "features", "source": "x"}], "outputs": [{"name": "score", "source": "y"}]}
    drafted = _draft(
        [node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["z"])],
        {"x": ("FP32", ["N", 2])}, {"y": ("FP32", ["N", 2]), "z": ("FP32", ["N", 2])}, said=said,
    )  # fmt: skip
    assert drafted.inputs == (TensorSpec("features", "FP32", (-1, 2), source="x"),)
    assert drafted.outputs == (TensorSpec("score", "FP32", (-1, 2), source="y"),)


def test_an_optional_output_is_left_out_with_a_remark():
    model = onnx.load_from_string(model_of(
        [node("Relu", ["x"], ["y"]), node("Optional", ["x"], ["o"])],
        {"x": ("FP32", ["N", 2])}, {"y": ("FP32", ["N", 2])},
    ))  # fmt: skip
    optional = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, ["N", 2]))
    model.graph.output.append(helper.make_value_info("o", optional))
    files = {"m.onnx": model.SerializeToString()}
    drafted = draft(files, "m.onnx")
    assert [spec.name for spec in drafted.outputs] == ["y"]
    assert "The output o is left out: it is optional(tensor(float)), which cannot be a tensor" in _said(drafted)
    assert loaded(files, "m.onnx")


@pytest.mark.parametrize("content", [b"", b"not a model", b"\0\0\0\0ORTM"])
def test_what_is_no_model_is_refused(content):
    with pytest.raises(ModelRefused, match=r"no ONNX model|ONNX Runtime's own format"):
        draft({"m.onnx": content}, "m.onnx")


def test_bf16_is_drafted():
    shape = ["N", 2]
    drafted = _draft([node("Identity", ["x"], ["y"])], {"x": ("BF16", shape)}, {"y": ("BF16", shape)})
    assert [spec.datatype for spec in (*drafted.inputs, *drafted.outputs)] == ["BF16", "BF16"]


def test_an_empty_input_is_drafted_and_served():
    files = {"m.onnx": model_of(
        [node("Concat", ["x", "more"], ["y"], axis=1)],
        {"x": ("FP32", ["N", 2]), "more": ("FP32", ["N", 0])}, {"y": ("FP32", ["N", 2])},
    )}  # fmt: skip
    runtime = loaded(files, "m.onnx")
    feed = {"x": np.ones((3, 2), "f4"), "more": np.ones((3, 0), "f4")}
    assert runtime.run(feed, ["y"])[0].shape == (3, 2)
