"""A value answers by itself with an output for each key, and beside a model with the model's outputs."""

import json

import numpy as np
import pytest

from runtimes.adapted import adapt
from runtimes.constant.runtime import MAX_LOGGED_BYTES, ConstantRuntime, difference, signature_of
from runtimes.errors import ModelRefused
from runtimes.kinds import loader_of
from runtimes.manifest import Signature, TensorSpec
from runtimes.manifest_text import parse_manifest
from runtimes.runtime import Runtime, check_outputs

VALUE = {"price": 9.5, "layout": "wide", "columns": 3, "is_new": True, "steps": [1, {"b": 2, "a": "ü"}], "more": {}}
X = TensorSpec("X", "FP32", (-1, 4))
MODEL = Signature((X,), (TensorSpec("label", "INT64", (-1,)), TensorSpec("scores", "FP32", (-1, 2))))


def model_with(*outputs: TensorSpec, inputs: tuple[TensorSpec, ...] = (X,)) -> Signature:
    return Signature(inputs, outputs)


def test_a_value_has_an_output_of_one_element_for_each_key():
    signature = signature_of(VALUE)
    assert [(spec.name, spec.datatype, spec.shape) for spec in signature.outputs] == [
        ("columns", "INT64", (1,)),
        ("is_new", "BOOL", (1,)),
        ("layout", "BYTES", (1,)),
        ("more", "BYTES", (1,)),
        ("price", "FP64", (1,)),
        ("steps", "BYTES", (1,)),
    ]
    runtime: Runtime = ConstantRuntime(VALUE, signature)
    answer = runtime.run({}, ["layout", "columns", "price", "is_new", "steps", "more"])
    assert [each.tolist() for each in answer] == [
        [b"wide"], [3], [9.5], [True], ['[1,{"a":"ü","b":2}]'.encode()], [b"{}"],
    ]  # fmt: skip
    check_outputs(signature.outputs, runtime.run({}, [spec.name for spec in signature.outputs]))
    assert not signature.takes_several


def test_beside_a_model_each_instance_gets_the_value():
    runtime = ConstantRuntime({"label": 1, "scores": [0.25, 0.75]}, MODEL)
    for rows in (0, 1, 3):
        label, scores = runtime.run({"X": np.zeros((rows, 4), np.float32)}, ["label", "scores"])
        check_outputs(MODEL.outputs, [label, scores])
        assert label.tolist() == [1] * rows
        assert scores.tolist() == [[0.25, 0.75]] * rows
    (scores,) = ConstantRuntime({"scores": 0}, model_with(TensorSpec("scores", "FP32", (-1, 2)))).answer(2)
    assert scores.tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        (TensorSpec("y", "BYTES", (-1,)), "no", [b"no", b"no"]),
        (TensorSpec("y", "BYTES", (-1, 2)), {"a": 1}, [[b'{"a":1}'] * 2] * 2),
        (TensorSpec("y", "BOOL", (-1,)), False, [False, False]),
        (TensorSpec("y", "UINT8", (-1,)), 255, [255, 255]),
        (TensorSpec("y", "BF16", (-1,)), 2, [2.0, 2.0]),
        (TensorSpec("y", "FP64", (3,)), [1, 2, 3.5], [1.0, 2.0, 3.5]),  # no instance has an answer of its own
        (TensorSpec("y", "INT64", ()), 4, 4),
    ],
)
def test_a_value_takes_the_datatype_and_the_shape_of_the_model(spec, value, expected):
    signature = model_with(spec, inputs=(X, TensorSpec("n", "INT64", (-1,))))
    (answer,) = ConstantRuntime({"y": value}, signature).answer(2 if spec.shape[:1] == (-1,) else 1)
    check_outputs([spec], [answer])
    assert answer.tolist() == expected


@pytest.mark.parametrize(
    ("spec", "value", "clause"),
    [
        (TensorSpec("z", "INT64", (-1,)), 1, "it has the outputs y and not z"),
        (TensorSpec("y", "INT64", (-1,)), 1.5, r"its output y is FP64 and not INT64 \[-1\]"),
        (TensorSpec("y", "INT64", (-1,)), True, "its output y is BOOL and not INT64"),
        (TensorSpec("y", "FP32", (-1,)), "1", "its output y is BYTES and not FP32"),
        (TensorSpec("y", "FP32", (-1,)), {"a": 1}, "its output y is BYTES and not FP32"),
        (TensorSpec("y", "FP32", (-1, 2)), [1, "2"], "its output y is BYTES and not FP32"),
        (TensorSpec("y", "BOOL", (-1,)), 1, "its output y is INT64 and not BOOL"),
        (TensorSpec("y", "BYTES", (-1,)), 1, "its output y is INT64 and not BYTES"),
        (TensorSpec("y", "UINT8", (-1,)), 256, "its output y does not fit UINT8"),
        (TensorSpec("y", "FP32", (-1,)), 1e39, "its output y has a number that is too large for FP32"),
        (TensorSpec("y", "FP32", (-1, 2)), [1, 2, 3], r"its output y does not fit FP32 \[-1, 2\]"),
        (TensorSpec("y", "FP32", (-1, 2)), [[1], [2, 3]], "its output y does not fit FP32"),
        (
            TensorSpec("y", "FP32", (-1, -1)),
            1,
            r"its output y is FP32 \[-1, -1\], of which a value cannot tell the size",
        ),
    ],
)
def test_what_no_model_could_answer_is_named(spec, value, clause):
    with pytest.raises(ModelRefused, match=clause):
        ConstantRuntime({"y": value}, model_with(spec))
    assert difference({"y": value}, model_with(spec))
    assert difference({"label": 1, "scores": 1}, MODEL) == ""


def test_a_value_is_adapted_to_a_model_by_its_value():
    own = ConstantRuntime({"label": 1, "scores": 1}, signature_of({"label": 1, "scores": 1}))
    seen = adapt(own, MODEL)
    assert seen.signature == MODEL
    assert [each.tolist() for each in seen.run({"X": np.zeros((1, 4), np.float32)}, ["scores", "label"])] == [
        [[1.0, 1.0]],
        [1],
    ]


def test_the_log_gets_the_json_of_the_value_or_its_beginning():
    (text,) = ConstantRuntime(VALUE, signature_of(VALUE)).logged.tolist()
    assert json.loads(text) == VALUE
    long = {"text": "ü" * MAX_LOGGED_BYTES}
    (text,) = ConstantRuntime(long, signature_of(long)).logged.tolist()
    assert text.decode().startswith('{"text":"üü')
    assert MAX_LOGGED_BYTES - 1 <= len(text) <= MAX_LOGGED_BYTES


def test_no_version_of_a_registry_is_a_value():
    text = (
        "runtime: constant\nfile: v.json\nsha256: '" + "0" * 64 + "'\n"
        "inputs: [{name: x, datatype: FP32, shape: [-1]}]\noutputs: [{name: y, datatype: FP32, shape: [-1]}]\n"
    )
    with pytest.raises(ModelRefused, match="no kind of model: write the value into the route"):
        parse_manifest(text)
    with pytest.raises(ModelRefused, match="no kind of model"):
        loader_of("constant")
