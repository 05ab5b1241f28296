"""External data: pinned files only, from memory, wherever in the graph a tensor is."""

import hashlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from loadtests.onnx_version import drafted_manifest
from runtimes.errors import ModelRefused
from runtimes.load import load
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, PinnedFile, TensorSpec
from tests.support.onnx_kinds import directly, draft, loaded, model_of, node, put_outside

_WEIGHTS = np.arange(40, dtype="f4").reshape(4, 10)
_X = np.array([[1, 2, 3, 4]], "f4")
_PRODUCT = _X @ _WEIGHTS


def _model(location: str = "w.bin", **entries: object) -> dict[str, bytes]:
    content = model_of(
        [node("MatMul", ["x", "w"], ["y"])], {"x": ("FP32", ["N", 4])}, {"y": ("FP32", ["N", 10])}, {"w": _WEIGHTS}
    )
    model = onnx.load_from_string(content)
    weights = put_outside(model.graph.initializer[0], location, **entries)
    return {"model.onnx": model.SerializeToString(), "w.bin": weights}


def _outside() -> tuple[onnx.TensorProto, bytes]:
    tensor = numpy_helper.from_array(_WEIGHTS, "w")
    return tensor, put_outside(tensor, "w.bin")


def _constant() -> dict[str, bytes]:
    tensor, weights = _outside()
    nodes = [node("Constant", [], ["w"], value=tensor), node("MatMul", ["x", "w"], ["y"])]
    return {"model.onnx": model_of(nodes, _INPUTS, _OUTPUTS), "w.bin": weights}


_INPUTS, _OUTPUTS = {"x": ("FP32", ["N", 4])}, {"y": ("FP32", ["N", 10])}


def _branch() -> dict[str, bytes]:
    tensor, weights = _outside()
    info = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    branch = helper.make_graph([node("MatMul", ["x", "w"], ["z"])], "branch", [], [info], [tensor])
    nodes = [node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)]
    return {"model.onnx": model_of(nodes, _INPUTS, _OUTPUTS, {"yes": np.array(True)}), "w.bin": weights}


def _function() -> dict[str, bytes]:
    tensor, weights = _outside()
    nodes = [node("Constant", [], ["w"], value=tensor), node("MatMul", ["x", "w"], ["y"])]
    function = helper.make_function("local", "Layer", ["x"], ["y"], nodes, [helper.make_opsetid("", 17)])
    model = onnx.load_from_string(
        model_of([node("Layer", ["x"], ["y"], domain="local")], _INPUTS, _OUTPUTS, functions=[function])
    )
    model.opset_import.append(helper.make_opsetid("local", 1))
    return {"model.onnx": model.SerializeToString(), "w.bin": weights}


_PLACES = {"initializer": _model, "constant": _constant, "branch": _branch, "function": _function}


@pytest.mark.parametrize("place", _PLACES)
def test_the_pinned_file_is_used_and_not_one_in_the_working_directory(place, tmp_path, monkeypatch):
    files = _PLACES[place]()
    (tmp_path / "w.bin").write_bytes(bytes(len(files["w.bin"])))
    monkeypatch.chdir(tmp_path)
    runtime = loaded(files, "model.onnx")
    np.testing.assert_array_equal(runtime.run({"x": _X}, ["y"])[0], _PRODUCT)


@pytest.mark.parametrize("place", _PLACES)
def test_a_file_that_is_not_pinned_is_not_used(place, tmp_path, monkeypatch):
    files = _PLACES[place]()
    (tmp_path / "w.bin").write_bytes(files["w.bin"])
    monkeypatch.chdir(tmp_path)
    manifest = Manifest(
        runtime="onnx",
        file="model.onnx",
        sha256=hashlib.sha256(files["model.onnx"]).hexdigest(),
        inputs=(TensorSpec("x", "FP32", (-1, 4)),),
        outputs=(TensorSpec("y", "FP32", (-1, 10)),),
    )
    with pytest.raises(ModelRefused, match=r"w\.bin, which model\.yaml does not pin.*`- \{file: w\.bin, sha256"):
        load(files, manifest, LoadOptions())


@pytest.mark.parametrize(
    "location",
    ["/etc/passwd", "../w.bin", "sub/../../w.bin", "", "..", "*/_ORT_MEM_ADDR_/*", "sub\\w.bin", "/proc/self/environ"],
)
def test_a_place_outside_the_folder_is_refused(location):
    files = _model(location) | {"*/_ORT_MEM_ADDR_/*": b"\0" * 160}
    with pytest.raises(ModelRefused, match="is not a file in the version's folder"):
        draft(files, "model.onnx")


@pytest.mark.parametrize("location", ["./w.bin", "sub/../w.bin"])
def test_another_spelling_of_a_file_in_the_folder_is_that_file(location):
    runtime = loaded(_model(location), "model.onnx")
    np.testing.assert_array_equal(runtime.run({"x": _X}, ["y"])[0], _PRODUCT)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"offset": 1}, r"bytes 1 to 161 of w\.bin, which has 160"),
        ({"length": 161}, "bytes 0 to 161"),
        ({"offset": 2**63}, "which has 160 bytes"),
        ({"offset": -4}, "offset '-4', which is not a number"),
        ({"length": "all"}, "length 'all', which is not a number"),
    ],
)
def test_a_part_that_the_file_does_not_have_is_refused(entries, words):
    with pytest.raises(ModelRefused, match=words):
        draft(_model(**entries), "model.onnx")


def test_a_cut_file_is_refused_with_a_sentence():
    files = _model()
    with pytest.raises(ModelRefused, match="the file is not all there, or is of another model"):
        draft(files | {"w.bin": files["w.bin"][:100]}, "model.onnx")


def test_a_changed_weight_is_another_version():
    files = _model()
    manifest = drafted_manifest(files, draft(files, "model.onnx"))
    assert manifest.files == (PinnedFile("w.bin", hashlib.sha256(files["w.bin"]).hexdigest()),)
    with pytest.raises(ModelRefused, match=r"w\.bin has sha256"):
        load(files | {"w.bin": bytes(160)}, manifest, LoadOptions())


def test_what_onnx_saves_with_external_data_is_served(tmp_path):
    inline = model_of(
        [node("MatMul", ["x", "w"], ["y"])], {"x": ("FP32", ["N", 512])}, {"y": ("FP32", ["N", 64])},
        {"w": np.random.default_rng(0).normal(size=(512, 64)).astype("f4")},
    )  # fmt: skip
    model = onnx.load_from_string(inline)
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    files = {name: (tmp_path / name).read_bytes() for name in ("model.onnx", "model.onnx.data")}
    assert "model.onnx.data, which must be among the files" in "\n".join(draft(files, "model.onnx").remarks)
    feed = {"x": np.ones((3, 512), "f4")}
    expected = directly({"model.onnx": inline}, "model.onnx")(feed)["y"]
    np.testing.assert_array_equal(loaded(files, "model.onnx").run(feed, ["y"])[0], expected)
