"""A class of one's own: what it may do, and what is wrong with it, in a sentence."""

import numpy as np
import pytest

from runtimes.datatypes import NUMPY_OF
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import TensorSpec
from tests.unit.runtimes.python.support import ADDS, X, load_python

PREDICT = """
    import numpy as np
    class Model:
        def __init__(self, folder): pass
        def predict(self, inputs): {}
"""


def test_it_answers_what_predict_returns():
    (answer,) = load_python(ADDS).run({"x": np.array([[1, 2], [3, 4]], np.float32)}, ["sum"])
    np.testing.assert_array_equal(answer, np.array([3, 7], np.float32))


def test_it_reads_files_and_imports_modules_of_its_folder():
    source = """
        import json
        from helper import add
        from pack.deep import FACTOR
        class Model:
            def __init__(self, folder):
                self.bias = json.loads((folder / "weights" / "bias.json").read_text())
            def predict(self, inputs):
                return {"sum": add(inputs["x"]) * FACTOR + np_float(self.bias)}
        from numpy import float32 as np_float
    """
    more = {
        "helper.py": b"def add(x): return x.sum(axis=1)\n",
        "pack/__init__.py": b"",
        "pack/deep.py": b"FACTOR = 2\n",
        "weights/bias.json": b"5",
    }
    (answer,) = load_python(source, more).run({"x": np.ones((1, 2), np.float32)}, ["sum"])
    assert answer.tolist() == [9.0]


@pytest.mark.parametrize("returned", ["np.array(upper)", "upper", "[each.encode() for each in upper]"])
def test_text_comes_as_str_and_may_go_as_bytes(returned):
    source = """
        import numpy as np
        class Upper:
            def __init__(self, folder): pass
            def predict(self, inputs):
                assert all(type(each) is str for each in inputs["words"])
                upper = [each.upper() for each in inputs["words"]]
                return {"upper": RETURNED}
    """.replace("RETURNED", returned)
    tensors = {
        "inputs": (TensorSpec("text", "BYTES", (-1,), source="words"),),
        "outputs": (TensorSpec("upper", "BYTES", (-1,)),),
    }
    runtime = load_python(source, entry="Upper", **tensors)
    (answer,) = runtime.run({"text": np.array(["grün".encode(), b"", b"\0"], object)}, ["upper"])
    assert answer.tolist()[:2] == ["GRÜN".encode(), b""]
    with pytest.raises(ModelFailed, match="Input text holds a text that is not UTF-8"):
        runtime.run({"text": np.array([b"\xff"], object)}, ["upper"])


def test_bytes_that_are_no_text_come_as_bytes_if_the_class_says_so():
    source = """
        class Model:
            takes_bytes = True
            def __init__(self, folder): pass
            def predict(self, inputs):
                return {"size": [len(each) for each in inputs["image"]]}
    """
    tensors = {
        "inputs": (TensorSpec("image", "BYTES", (-1,)),),
        "outputs": (TensorSpec("size", "INT64", (-1,)),),
    }
    (sizes,) = load_python(source, **tensors).run({"image": np.array([b"\xff\xd8\xff", b""], object)}, ["size"])
    assert sizes.tolist() == [3, 0]


@pytest.mark.parametrize(
    ("body", "output", "expected"),
    [
        ("return {'y': [1.5] * len(inputs['x'])}", TensorSpec("y", "FP32", (-1,)), [1.5]),
        ("return {'y': inputs['x'].sum()}", TensorSpec("y", "FP64", ()), 2.0),
        ("return {'y': (inputs['x'].sum(1) > 1).astype('i4')}", TensorSpec("y", "INT64", (-1,)), [1]),
        ("return {'y': inputs['x'].sum(1).astype('f8')}", TensorSpec("y", "FP32", (-1,)), [2.0]),
        ("return {'y': [b'a' + bytes(1)]}", TensorSpec("y", "BYTES", (-1,)), [b"a\0"]),
    ],
    ids=["list", "scalar", "int32 for INT64", "float64 for FP32", "bytes that end with zero"],
)
def test_an_answer_is_taken_as_what_numpy_makes_of_it_within_its_kind(body, output, expected):
    batch = 0 if output.shape else "none"
    runtime = load_python(PREDICT.replace("{}", body), outputs=(output,), batch=batch)
    (answer,) = runtime.run({"x": np.ones((1, 2), np.float32)}, ["y"])
    assert answer.dtype == NUMPY_OF[output.datatype]
    assert answer.tolist() == expected


def test_its_arrays_are_its_own_alone():
    source = """
        import numpy as np
        class Model:
            def __init__(self, folder): self.kept = np.zeros(1, np.float32)
            def predict(self, inputs):
                if len(inputs["x"]) != 1: return {"sum": inputs["x"].sum(axis=1)}
                self.kept[:] = inputs["x"].sum()
                return {"sum": self.kept}
    """
    runtime = load_python(source)
    first = runtime.run({"x": np.full((1, 2), 1, np.float32)}, ["sum"])[0]
    runtime.run({"x": np.full((1, 2), 5, np.float32)}, ["sum"])
    assert first.tolist() == [2.0]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return [1]", "predict returned a list; it must return a dictionary of NumPy arrays"),
        ("return None", "predict returned a NoneType"),
        ("return {'total': inputs['x'][:, 0]}", "predict returned 'total'; model.yaml also names sum"),
        ("return {'sum': {}}", "predict returned sum as a dict; it must be a NumPy array"),
        ("return {'sum': [[1.0], [1.0, 2.0]]}", "predict returned sum as a list that is no array"),
        ("return {'sum': ['a']}", "returned sum as object"),
        ("return {'sum': inputs['x'].sum(axis=1) * 1j}", r"returned sum as complex64 \[1\]; .* FP32 \[-1\]"),
        ("return {'sum': inputs['x']}", r"returned sum as float32 \[1, 2\]"),
        ("return {'sum': np.array([object()])}", "predict returned sum with <object object"),
        ("return {'sum': inputs['y']}", r"predict raised KeyError: 'y' \(model\.py, line 5\)"),
        ("inputs['x'][0] = 1", "predict raised ValueError: assignment destination is read-only"),
        ("raise SystemExit(3)", "predict raised SystemExit: 3"),
    ],
)
def test_a_wrong_answer_is_a_sentence(body, words):
    with pytest.raises(ModelRefused, match=words):
        load_python(PREDICT.format(body))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import missing_module_of_nowhere", "raised ModuleNotFoundError: No module named"),
        ("class Model:\n  def", "raised SyntaxError"),
        ("raise RuntimeError('no licence')", r"model\.py raised RuntimeError: no licence \(model\.py, line 1\)"),
        ("import sys; sys.exit(2)", "model.py raised SystemExit: 2"),
        ("x = 1", "has no class Model; name it as `entry`"),
        ("Model = 3", "has no class Model"),
        ("class Model:\n  def __init__(self, folder): pass", "has no method predict"),
        ("class Model:\n  def __init__(self): pass\n  def predict(self, x): pass", "raised TypeError"),
        ("class Model:\n  def __init__(self, folder): 1 / 0", r"raised ZeroDivisionError: .* \(model\.py, line 2\)"),
    ],
)
def test_a_class_that_cannot_be_made_is_a_sentence(source, words):
    with pytest.raises(ModelRefused, match=words):
        load_python(source)


def test_a_file_that_cannot_be_parsed_as_text_is_a_sentence():
    with pytest.raises(ModelRefused, match=r"model\.py raised SyntaxError"):
        load_python("class Model: pass\n\0")


def test_code_is_not_run_unless_the_operator_allows_it():
    with pytest.raises(ModelRefused, match=r"Set POINTSMAN_ALLOW_CODE=true"):
        load_python("raise AssertionError('it ran')", options=LoadOptions(allow_pickle=True))


def test_an_output_that_there_is_not_is_a_failure():
    with pytest.raises(ModelFailed, match="has no output 'mean'"):
        load_python(ADDS, inputs=X).run({"x": np.ones((1, 2), np.float32)}, ["mean"])
