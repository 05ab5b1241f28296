"""Which kind of model a file or a folder is, and what is said of one that is unknown."""

import gzip
import io
import pickle
import zipfile

import numpy as np
import pytest
from onnx import helper

from runtimes.detect import detect
from runtimes.errors import ModelRefused
from runtimes.manifest import TensorSpec
from runtimes.onnx_bytes import is_onnx
from tests.support.models import onnx_content


def identity() -> bytes:
    specs = [TensorSpec("x", "FP32", (-1, 2))], [TensorSpec("y", "FP32", (-1, 2))]
    return onnx_content([helper.make_node("Identity", ["x"], ["y"])], *specs)


def zipped(*names: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        for name in names:
            written.writestr(name, b"{}")
    return archive.getvalue()


CONTENTS = {
    "onnx": identity(),
    "sklearn": zipped("schema.json", "1.npy"),
    "lightgbm": b"tree\nversion=v4\nnum_class=1\n",
    "xgboost": b'{"learner":{"attributes":{}},"version":[3,0,0]}',
    "catboost": b"CBM1\x10\x00",
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_file_is_known_by_its_content_whatever_its_name_is(kind):
    assert detect({"model.bin": CONTENTS[kind]}) == (kind, "model.bin")
    assert detect({"model.onnx": CONTENTS[kind]}).runtime == kind


def test_xgboosts_ubjson_is_known():
    assert detect({"m": b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{"}).runtime == "xgboost"


@pytest.mark.parametrize("content", [pickle.dumps(3), gzip.compress(pickle.dumps(3))], ids=["plain", "gzip"])
def test_pickles_are_scikit_learns_also_compressed(content):
    assert detect({"model.joblib": content}) == ("sklearn", "model.joblib")


def test_a_damaged_file_is_known_by_its_suffix():
    assert detect({"model.onnx": identity()[:-5]}).runtime == "onnx"
    assert detect({"model.cbm": b""}).runtime == "catboost"


def test_folders():
    assert detect({"MLmodel": b"", "model.skops": CONTENTS["sklearn"]}) == ("mlflow", "MLmodel")
    assert detect({"model.py": b"", "weights.onnx": CONTENTS["onnx"]}) == ("python", "model.py")
    assert (
        detect({"m.onnx": CONTENTS["onnx"], "m.onnx.data": np.zeros(9).tobytes(), "README.md": b"#"}).file == "m.onnx"
    )
    assert detect({"a/m.onnx": CONTENTS["onnx"], "b.onnx": CONTENTS["onnx"]}).file == "b.onnx"


def test_several_models_must_be_told_apart():
    files = {"a.onnx": CONTENTS["onnx"], "b.cbm": CONTENTS["catboost"]}
    with pytest.raises(ModelRefused, match=r"several models: a\.onnx, b\.cbm.*--set file=NAME"):
        detect(files)
    assert detect(files, wanted="b.cbm") == ("catboost", "b.cbm")
    assert detect(files, runtime="onnx") == ("onnx", "a.onnx")
    with pytest.raises(ModelRefused, match=r"no file c; there are a\.onnx"):
        detect(files, wanted="c")


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (zipped("model/data.pkl"), "torch.onnx.export"),
        (b"\x89HDF\r\n", "tf2onnx"),
        (b"\0\0\0\0ORTM", "the .onnx file"),
        (b"hello", "Known are ONNX"),
    ],
    ids=["pytorch", "keras", "ort", "text"],
)
def test_what_is_unknown_lists_what_is_known_and_what_to_do(content, advice):
    with pytest.raises(ModelRefused, match=r"Known are ONNX .* Python class") as refused:
        detect({"model.pt": content})
    assert advice in str(refused.value)


@pytest.mark.parametrize(
    "content", [b"", b"\x08", b"\xff" * 64, b"\x08\x07:\xff\xff\xff\xff\x0f", bytes(100), b"tree\n"]
)
def test_other_bytes_are_no_onnx(content):
    assert not is_onnx(content)
