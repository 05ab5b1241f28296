"""Saves functions with a real MLflow, loads them with our runtime, and prints both answers, in JSON, by case."""

import hashlib
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from runtimes.errors import ModelRefused
from runtimes.kinds import drafter_of
from runtimes.load import load
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, PinnedFile
from runtimes.mlmodel.read import MLMODEL

_FRAME = pd.DataFrame({"a": [1, 2], "b": [1.5, np.nan]})
_TIMES = pd.DataFrame({"t": pd.to_datetime(["2024-01-02", "2025-03-04"])})
_WORDS = pd.DataFrame({"s": ["ä", "bb"]})
_WIDTHS = pd.DataFrame({"i": np.array([1, 2], np.int32), "f": np.array([1, 2], np.float32), "q": [True, False]})

CASES: Mapping[str, tuple[Any, Callable[[Any], Any]]] = {
    "a series of numbers": (_FRAME, lambda table: table["a"] + table["b"].fillna(0)),
    "an array": (_FRAME, lambda table: table.fillna(-1).to_numpy()),
    "a list of words": (_FRAME, lambda table: ["x"] * len(table)),
    "a tensor": (np.ones((2, 3), np.float32), lambda tensor: tensor.sum(axis=1)),
    "named tensors": ({"u": np.ones((2, 3)), "v": np.ones((2, 3))}, lambda given: {"s": given["u"] + given["v"]}),
    "times": (_TIMES, lambda table: table["t"].dt.year),
    "words": (_WORDS, lambda table: table["s"].str.len()),
    "other widths": (_WIDTHS, lambda table: table["i"] + table["f"]),
    "two columns": (_FRAME, lambda table: pd.DataFrame({"p": table["a"] * 2.0, "q": ["no"] * len(table)})),
}
WRONG: Mapping[str, Callable[[Any], Any]] = {
    "raises": lambda _: 1 / 0,
    "other columns": lambda table: pd.DataFrame({"z": table["a"], "y": table["a"]}),
    "no columns": lambda table: np.ones((len(table), 3)),
    "exits": lambda _: sys.exit(4),
}


def main() -> None:
    """Print a pair of answers for each case, and the sentence for each wrong answer."""
    warnings.simplefilter("ignore")
    import mlflow.pyfunc

    pairs = {}
    for name, (example, function) in CASES.items():
        folder = _save(example, function, function(example))
        files, manifest = _drafted(folder)
        (inputs, outputs) = drafter_of("mlflow")(files, MLMODEL, LoadOptions(), {}).examples, manifest.outputs
        ours = load(files, manifest, LoadOptions(allow_code=True)).run(inputs, [spec.name for spec in outputs])
        theirs = mlflow.pyfunc.load_model(str(folder)).predict(example)
        pairs[name] = [[_plain(each) for each in ours], _columns(theirs)]
    sentences = {}
    for name, function in WRONG.items():
        answers = pd.DataFrame({"p": [1.0, 2.0], "q": [1.0, 2.0]})
        files, manifest = _drafted(_save(_FRAME, function, answers))
        try:
            load(files, manifest, LoadOptions(allow_code=True))
        except ModelRefused as error:
            sentences[name] = str(error)
    print(json.dumps({"pairs": pairs, "sentences": sentences}))  # noqa: T201  # the output of this program


def _save(example: Any, function: Callable[[Any], Any], answers: Any) -> Path:
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    class Function(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ARG002
            return function(model_input)

    folder = Path(tempfile.mkdtemp()) / "model"
    signature = infer_signature(example, answers)
    given = None if function in WRONG.values() else example
    mlflow.pyfunc.save_model(
        str(folder), python_model=Function(), signature=signature, input_example=given, pip_requirements=["numpy"]
    )
    return folder


def _drafted(folder: Path) -> tuple[dict[str, bytes], Manifest]:
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    draft = drafter_of("mlflow")(files, MLMODEL, LoadOptions(), {})
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    pinned = tuple(PinnedFile(path, digest) for path, digest in digests.items() if path != MLMODEL)
    tensors = {"inputs": draft.inputs, "outputs": draft.outputs}
    made = Manifest(runtime="mlflow", file=MLMODEL, sha256=digests[MLMODEL], files=pinned, **tensors, **draft.more)
    return files, made


def _columns(answers: Any) -> list[Any]:
    """Return what MLflow answers, one list for each output."""
    if isinstance(answers, pd.DataFrame | dict):
        return [_plain(np.asarray(answers[name])) for name in answers]
    return [_plain(np.asarray(answers))]


def _plain(tensor: Any) -> Any:
    return [each.decode() if isinstance(each, bytes) else each for each in tensor.tolist()]


if __name__ == "__main__":
    main()
