"""Loading: the artifacts and manifests that are rejected between the bytes and a warm runtime."""

import hashlib
import json

import numpy as np
import pytest
from onnx import helper

from runtimes.batching import why_unbatched
from runtimes.errors import ModelRefused
from runtimes.golden import golden_tensor
from runtimes.load import load
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, PinnedFile, TensorSpec
from tests.support.models import load_one, onnx_content

X = TensorSpec("X", "FP32", (-1, 30))
LABEL = TensorSpec("label", "INT64", (-1,))
PROBABILITIES = TensorSpec("probabilities", "FP32", (-1, 2))


@pytest.fixture(params=["model.onnx", "model.skops"])
def published(request, onnx_model, skops_model) -> tuple[bytes, str]:
    """Return a model of either kind, and the name of its file."""
    return (onnx_model if request.param == "model.onnx" else skops_model), request.param


def test_a_model_that_is_as_described_is_loaded(published, manifest_of):
    manifest = manifest_of(*published)
    assert load_one(published[0], manifest).signature == manifest.signature


@pytest.mark.parametrize("position", [0, 1000, -1])
def test_one_flipped_bit_is_refused(published, manifest_of, position):
    content, file = published
    damaged = bytearray(content)
    damaged[position] ^= 1
    with pytest.raises(
        ModelRefused, match=rf"{file} has sha256 .*…, model.yaml pins .*…: the file was changed or damaged"
    ):
        load_one(bytes(damaged), manifest_of(content, file))


def test_a_truncated_file_is_refused(published, manifest_of):
    content, file = published
    with pytest.raises(ModelRefused, match="changed or damaged"):
        load_one(content[:-1], manifest_of(content, file))


@pytest.mark.parametrize("content", [b"", b"neither"])
@pytest.mark.parametrize(
    ("file", "words"), [("model.onnx", "ONNX Runtime cannot load"), ("model.skops", "skops archive cannot be read")]
)
def test_what_is_no_model_is_refused(manifest_of, content, file, words):
    with pytest.raises(ModelRefused, match=words):
        load_one(content, manifest_of(content, file))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": (TensorSpec("Y", "FP32", (-1, 30)),)}, "declares the inputs Y; the model has X"),
        ({"inputs": (X, TensorSpec("Y", "FP32", (-1, 30)))}, "declares the inputs X, Y; the model has X"),
        (
            {"inputs": (TensorSpec("X", "INT64", (-1, 30)),)},
            r"input X is FP32 \[-1, 30\] and not INT64 \[-1, 30\]",
        ),
        (
            {"inputs": (TensorSpec("X", "FP32", (-1, 29)),)},
            r"input X is FP32 \[-1, 30\] and not FP32 \[-1, 29\]",
        ),
        ({"inputs": (TensorSpec("X", "FP32", (30,)),)}, r"input X is FP32 \[-1, 30\] and not FP32 \[30\]"),
        ({"inputs": (TensorSpec("X", "FP32", (-1, -1)),)}, "does not run as model.yaml says"),
        ({"outputs": (LABEL, TensorSpec("scores", "FP32", (-1, 2)))}, "declares the outputs label, scores"),
        (
            {"outputs": (TensorSpec("label", "INT32", (-1,)), PROBABILITIES)},
            r"label is INT64 \[-1\] and not INT32",
        ),
        ({"outputs": (LABEL, TensorSpec("probabilities", "FP32", (-1, 3)))}, r"probabilities as float32 \[1, 2\]"),
    ],
)
def test_an_onnx_model_with_another_signature_is_refused(onnx_model, manifest_of, change, words):
    with pytest.raises(ModelRefused, match=words):
        load_one(onnx_model, manifest_of(onnx_model, **change))


def test_an_onnx_model_may_be_described_in_another_order(onnx_model, manifest_of):
    manifest = manifest_of(onnx_model, outputs=(PROBABILITIES, LABEL))
    assert load_one(onnx_model, manifest).signature.outputs == (PROBABILITIES, LABEL)


def test_an_onnx_model_may_be_asked_for_some_of_its_outputs(onnx_model, manifest_of, cancer):
    runtime = load_one(onnx_model, manifest_of(onnx_model, outputs=(LABEL,)))
    assert len(runtime.run({"X": cancer[0]}, ["label"])[0]) == len(cancer[0])


NO_SCORE = "the output score; the estimator answers label, probabilities, scores.*needs a `source`"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": (X, TensorSpec("Y", "FP32", (-1, 1)))}, "declares 31 features; the estimator was fitted on 30"),
        ({"inputs": (TensorSpec("X", "FP32", (-1, 29)),)}, "declares 29 features; the estimator was fitted on 30"),
        ({"inputs": (TensorSpec("X", "FP32", ()),)}, "two dimensions, such as"),
        ({"inputs": (TensorSpec("X", "FP32", (30,)),)}, "two dimensions, such as"),
        ({"inputs": (TensorSpec("X", "FP32", (-1, 30, 1)),)}, "two dimensions, such as"),
        ({"outputs": (TensorSpec("label", "INT64", (-1, 1)),)}, r"label as int64 \[1\].*says INT64 \[-1, 1\]"),
        ({"outputs": (LABEL, TensorSpec("probabilities", "FP32", (-1, 3)))}, r"probabilities as float32 \[1, 2\]"),
        (
            {"outputs": (TensorSpec("score", "FP32", (-1,)), PROBABILITIES)},
            NO_SCORE,
        ),
        (
            {"outputs": (LABEL, TensorSpec("score", "FP32", (-1,)))},
            NO_SCORE,
        ),
        (
            {"outputs": (LABEL, PROBABILITIES, TensorSpec("score", "FP32", (-1,)))},
            NO_SCORE,
        ),
        (
            {"outputs": (LABEL, TensorSpec("probabilities", "INT64", (-1, 2)))},
            r"does not run as model\.yaml says: The model answers probabilities as float(32|64), which is no int64",
        ),
    ],
)
def test_a_scikit_learn_model_with_another_signature_is_refused(skops_model, manifest_of, change, words):
    with pytest.raises(ModelRefused, match=words):
        load_one(skops_model, manifest_of(skops_model, "model.skops", **change))


def test_a_version_whose_golden_requests_are_answered_otherwise_together_is_not_merged(monkeypatch):
    monkeypatch.setattr("runtimes.onnx.runtime.why_rows_mix", lambda _: "")  # what the operators of the graph say
    inputs, outputs = (TensorSpec("X", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),)
    nodes = [  # adds what is above a million in the whole batch to each row
        helper.make_node("Greater", ["X", "million"], ["is_above"]),
        helper.make_node("Where", ["is_above", "X", "zero"], ["excess"]),
        helper.make_node("ReduceSum", ["excess"], ["all"], keepdims=0),
        helper.make_node("Add", ["X", "all"], ["y"]),
    ]
    content = onnx_content(nodes, inputs, outputs, {"million": np.array([1e6], "f4"), "zero": np.zeros(1, "f4")})
    tensors = [np.array([[2e6, 0]], "f4"), np.ones((1, 2), "f4")]
    golden = json.dumps([{"inputs": [golden_tensor("X", tensor)]} for tensor in tensors]).encode()
    files = {"m": content, "golden.json": golden}
    pinned = {name: hashlib.sha256(each).hexdigest() for name, each in files.items()}
    described = {"runtime": "onnx", "file": "m", "sha256": pinned["m"], "inputs": inputs, "outputs": outputs}
    without = Manifest(**described)
    assert why_unbatched(load(files, without, LoadOptions()), 64) == ""
    manifest = Manifest(**described, files=(PinnedFile("golden.json", pinned["golden.json"]),), golden="golden.json")
    assert "depends on the other rows" in why_unbatched(load(files, manifest, LoadOptions()), 64)
