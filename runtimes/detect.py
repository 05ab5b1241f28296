"""Tells which kind of model a file or a folder holds: by its content first, then by its suffix.

Nothing is executed or built here. A file that is damaged is still told by its suffix, so that its loader says what is
wrong with it.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from runtimes.errors import ModelRefused
from runtimes.manifest import MANIFEST, Files, RuntimeName
from runtimes.onnx_bytes import is_onnx

MLMODEL = "MLmodel"
MODEL_PY = "model.py"

_HEAD = 64 * 1024
"""The bytes at the beginning, and at the end, that are searched for a word. XGBoost writes `learner` first."""

KNOWN = (
    "ONNX (.onnx), scikit-learn (.skops; .pkl and .joblib where pickles are allowed), LightGBM (its text format), "
    "XGBoost (.json, .ubj), CatBoost (.cbm, .json), a folder that MLflow wrote (with MLmodel), and a Python class "
    "(model.py)"
)
"""What people are told can be published."""


class Found(NamedTuple):
    """The kind of a model, and which of its files is the one that the others belong to."""

    runtime: RuntimeName
    file: str


def detect(files: Files, wanted: str = "", runtime: RuntimeName | None = None) -> Found:
    """Return the kind of a model. `wanted` names its main file, and `runtime` its kind, if a person says so.

    Raises:
        ModelRefused: no file is a known model, or several are.
    """
    if wanted and wanted not in files:
        raise ModelRefused(f"There is no file {wanted}; there are {_listed(files)}.")
    if wanted:
        return Found(runtime or _known(wanted, files[wanted]), wanted)
    if runtime in (None, "mlflow") and MLMODEL in files:
        return Found("mlflow", MLMODEL)
    if runtime in (None, "python") and MODEL_PY in files:
        return Found("python", MODEL_PY)
    if runtime is not None and len(files) == 1:
        return Found(runtime, next(iter(files)))
    return _only(files, runtime)


def _only(files: Files, runtime: RuntimeName | None) -> Found:
    """Return the only model among files. Files of subfolders count if none beside them is a model."""
    kinds = {file: kind_of(file, content) for file, content in files.items() if file != MANIFEST}
    found = [Found(kind, file) for file, kind in kinds.items() if kind is not None and runtime in (None, kind)]
    shallow = [each for each in found if "/" not in each.file] or found
    if len(shallow) == 1:
        return shallow[0]
    if shallow:
        names = ", ".join(sorted(each.file for each in shallow))
        raise ModelRefused(
            f"There are several models: {names}. A version is one model; name its file with --set file=NAME, or "
            "publish one file alone."
        )
    if len(files) == 1:
        file, content = next(iter(files.items()))
        return Found(_known(file, content), file)
    raise ModelRefused(f"There is no model among {_listed(files)}. Known are {KNOWN}.")


def kind_of(file: str, content: bytes) -> RuntimeName | None:
    """Return which kind of model a file is, or None if it is none that is known."""
    by_content = next((kind for kind, test in _CONTENTS.items() if test(file, content)), None)
    return by_content or _SUFFIXES.get(PurePosixPath(file).suffix.lower())


def _known(file: str, content: bytes) -> RuntimeName:
    kind = kind_of(file, content)
    if kind is None:
        raise ModelRefused(f"{file} is no model of a known kind{_advice(content)}. Known are {KNOWN}.")
    return kind


def _listed(files: Files) -> str:
    names = sorted(files)
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _advice(content: bytes) -> str:
    """Return what to do with a kind that cannot be served as it is, as a clause."""
    advised = next((advice for test, advice in _FOREIGN if test(content)), "")
    return f": it looks like {advised}" if advised else ""


def _is_zip_with(content: bytes, name: bytes) -> bool:
    """Return True if a zip archive lists a file: the list is at the end."""
    return content[:4] == b"PK\x03\x04" and name in content[-_HEAD:]


_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"]\x00\x00", b"\x78")
"""The first bytes of what joblib compresses: gzip, bzip2, xz, lzma, zlib."""


def _is_pickle(file: str, content: bytes) -> bool:
    if re.match(rb"\x80[\x02-\x05]", content[:2]):  # the opcode PROTO, and the protocol's number
        return True
    return content.startswith(_PACKED) and PurePosixPath(file).suffix.lower() in (".joblib", ".pkl", ".pickle")


_CONTENTS: Mapping[RuntimeName, Callable[[str, bytes], bool]] = {
    "catboost": lambda _, content: content[:4] == b"CBM1" or (content[:1] == b"{" and b'"oblivious_trees"' in content),
    "lightgbm": lambda _, content: re.match(rb"tree\r?\nversion=", content[:64]) is not None,
    "xgboost": lambda _, content: content[:1] == b"{" and b"learner" in content[:_HEAD],
    "sklearn": lambda file, content: _is_zip_with(content, b"schema.json") or _is_pickle(file, content),
    "onnx": lambda _, content: is_onnx(content),
}
_SUFFIXES: Mapping[str, RuntimeName] = {
    ".onnx": "onnx",
    ".skops": "sklearn",
    ".pkl": "sklearn",
    ".pickle": "sklearn",
    ".joblib": "sklearn",
    ".lgb": "lightgbm",
    ".ubj": "xgboost",
    ".cbm": "catboost",
    ".py": "python",
}
_FOREIGN: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (
        lambda content: _is_zip_with(content, b"data.pkl"),
        "a PyTorch checkpoint; export it with torch.onnx.export, or write a Python class that loads it",
    ),
    (lambda content: content[:4] == b"\x89HDF", "a Keras model (HDF5); export it with tf2onnx"),
    (lambda content: content[4:8] == b"ORTM", "a model in ORT format; publish the .onnx file that it was made from"),
    (lambda content: content[4:8] == b"TFL3", "a TensorFlow Lite model; convert it with tf2onnx"),
    (lambda content: content[:4] == b"binf", "XGBoost's old binary format; save it as .json or .ubj"),
    (lambda content: b'"__metadata__"' in content[:512], "safetensors, which holds weights alone; export it to ONNX"),
)
