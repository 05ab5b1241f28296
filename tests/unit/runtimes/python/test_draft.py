"""What is read out of a Python file, without running it, and out of a folder of MLflow."""

import pytest

from runtimes.errors import ModelRefused
from runtimes.kinds import drafter_of
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest
from tests.unit.runtimes.python.support import ADDS, SUM, X, files_of


def draft(source: str, said=None, more=None):
    return drafter_of("python")(files_of(source, more), "model.py", LoadOptions(), said or {})


def test_the_attributes_of_the_class_are_its_inputs_and_outputs():
    found = draft(
        "raise AssertionError('it ran')\n" + ADDS.replace("\n    ", "\n"), more={"requirements.txt": b"numpy\n"}
    )
    assert (found.inputs, found.outputs) == (X, SUM)
    assert found.more == {"placement": "process", "entry": "Model", "packages": ["numpy"]}
    Manifest(
        runtime="python", file=found.file, sha256="0" * 64, inputs=found.inputs, outputs=found.outputs, **found.more
    )


def test_what_a_person_says_wins():
    said = {"inputs": [{"name": "y", "datatype": "FP64", "shape": [-1]}], "placement": "dedicated", "packages": ["a"]}
    found = draft(ADDS, said)
    assert found.inputs[0].name == "y"
    assert found.more == {"placement": "dedicated", "entry": "Model", "packages": ["a"]}


def test_the_only_class_with_predict_is_the_entry():
    source = (
        "class Helper: pass\nclass Scorer:\n  inputs = outputs = [{'name': 'x', 'datatype': 'FP32', 'shape': [-1]}]\n"
    )
    assert draft(source + "  def predict(self, inputs): pass").more["entry"] == "Scorer"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("class Model", "cannot be parsed"),
        ("(" * 5000, "cannot be parsed"),
        ("x = 1", "has no class Model"),
        ("class Model:\n  def predict(self, inputs): pass", r"not known what the inputs are.*attribute `inputs`"),
        (
            "class Model:\n  inputs = make()\n  def predict(self, inputs): pass",
            "attribute inputs of the class is no lit",
        ),
        ("class Model:\n  inputs = [1]\n  def predict(self, inputs): pass", "inputs of the model cannot be read"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(source, words):
    with pytest.raises(ModelRefused, match=words):
        draft(source)


def test_a_folder_of_mlflow_without_a_signature_says_what_to_write():
    files = {"MLmodel": b"flavors: {python_function: {loader_module: x}}"}
    with pytest.raises(ModelRefused, match=r"not known what the inputs are.*model\.yaml beside the model"):
        drafter_of("mlflow")(files, "MLmodel", LoadOptions(), {})
