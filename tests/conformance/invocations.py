"""The models and the bodies with which MLflow's own scoring server is asked beside ours.

A row with an empty `why` must get the same status and the same predictions from both. Otherwise `status` is ours, and
`why` says why it is another one than MLflow's, or another answer.
"""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import skops.io
from onnx import helper
from sklearn.linear_model import LinearRegression, LogisticRegression

from runtimes.manifest import TensorSpec
from tests.conformance.models import COLOURS, WEIGHTS
from tests.support.models import onnx_content, write_version

COLUMNS = ("a", "b", "c")
JSON, CSV = "application/json", "text/csv"


class Model(NamedTuple):
    """A model as MLflow's server gets it: the artifact, and its signature."""

    flavour: str
    content: bytes
    columns: Sequence[tuple[str, str]] = ()
    tensors: Sequence[tuple[str, str, list[int]]] = ()


class Row(NamedTuple):
    model: str
    name: str
    body: Any
    kind: str = JSON
    why: str = ""
    status: int = 200


def publish(root: Path) -> dict[str, Model]:
    """Write every model into a registry. Return them as MLflow's server gets them, by the name of their route."""
    features = np.random.default_rng(0).normal(size=(60, 3))
    numbers = features @ [1.0, 2.0, 3.0]
    regressor = LinearRegression().fit(features, numbers)
    classifier = LogisticRegression().fit(features, (numbers > 0).astype(np.int64))
    doubles = [(name, "double") for name in COLUMNS]
    inputs = (TensorSpec("X", "FP64", (-1, 3), COLUMNS),)
    for name, estimator, outputs in (
        ("regressor", regressor, (TensorSpec("y", "FP64", (-1,)),)),
        ("classifier", classifier, (TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP64", (-1, 2)))),
    ):
        content = skops.io.dumps(estimator)
        write_version(root, name, "1", content, file="model.skops", inputs=inputs, outputs=outputs)
    return {
        "regressor": Model("sklearn", pickle.dumps(regressor), doubles),
        "classifier": Model("sklearn", pickle.dumps(classifier), doubles),
        "points": Model("onnx", _points(root), tensors=[("X", "float32", [-1, 2])]),
        "frame": Model("onnx", _frame(root), [("age", "double"), ("visits", "long")]),
    }


def _points(root: Path) -> bytes:
    inputs = (TensorSpec("X", "FP32", (-1, 2)),)
    outputs = (TensorSpec("scores", "FP32", (-1, 3), COLOURS), TensorSpec("label", "INT64", (-1,)))
    nodes = [
        helper.make_node("MatMul", ["X", "W"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    content = onnx_content(nodes, inputs, outputs, {"W": WEIGHTS["1"]})
    write_version(root, "points", "1", content, inputs=inputs, outputs=outputs)
    return content


def _frame(root: Path) -> bytes:
    """Write a model with an input for each column of a data frame."""
    inputs = (TensorSpec("age", "FP64", (-1,)), TensorSpec("visits", "INT64", (-1,)))
    outputs = (TensorSpec("y", "FP64", (-1,)), TensorSpec("next", "INT64", (-1,)))
    nodes = [
        helper.make_node("Cast", ["visits"], ["number"], to=11),
        helper.make_node("Mul", ["age", "number"], ["y"]),
        helper.make_node("Add", ["visits", "visits"], ["next"]),
    ]
    content = onnx_content(nodes, inputs, outputs)
    write_version(root, "frame", "1", content, inputs=inputs, outputs=outputs)
    return content


def _split(columns: Any, *rows: Any, **more: Any) -> dict[str, Any]:
    return {"dataframe_split": {"columns": list(columns), "data": list(rows)}, **more}


_STRICT = "a text or a truth value is no number here, in any protocol"
_LIST = "rows without names are taken by position; MLflow wants a name for each column"
_FAILS = "the model cannot answer these values: 422, as over every protocol"
_RAGGED = "MLflow shifts the columns of a line that is too long, or fills one that is too short"

ROWS = [
    *(
        Row(model, name, *body)
        for model in ("regressor", "classifier")
        for name, *body in (
            ("split", _split("abc", [1, 2, 3], [-4, -5, 6.5])),
            ("split in another order", _split("cba", [3, 2.0, 1.0])),
            ("split with another column", _split("abcx", [1, 2, 3, "z"])),
            ("split with a nested column", _split("xabc", [[{"y": 1}], 1, 2, 3])),
            ("split with an index", _split("abc", [1, 2, 3]) | {"more": 1}),
            ("split lacks a column", _split("ab", [1, 2])),
            ("split without names", {"dataframe_split": {"data": [[1, 2, 3]]}}, JSON, _LIST),
            ("split with too few cells", _split("abc", [1, 2])),
            ("split with a column twice", _split("aabc", [1, 2, 3, 4])),
            ("split without rows", _split("abc")),
            ("split with text", _split("abc", ["q", 2, 3])),
            ("split is a list", {"dataframe_split": [[1, 2, 3]]}),
            ("records", {"dataframe_records": [{"a": 1, "b": 2, "c": 3}, {"c": 6, "b": -5, "a": 4}]}),
            ("records with another column", {"dataframe_records": [{"a": 1, "b": 2, "c": 3, "x": [1]}]}),
            ("records lack a column", {"dataframe_records": [{"a": 1, "b": 2}]}),
            ("no records", {"dataframe_records": []}),
            ("records are an object", {"dataframe_records": {"a": 1}}),
            ("instances by name", {"instances": [{"a": 1, "b": 2, "c": 3}]}),
            ("no instances", {"instances": []}),
            ("inputs by column", {"inputs": {"a": [1, 2], "b": [2, -3], "c": [3, 4]}}),
            ("inputs are one row", {"inputs": {"a": 1.0, "b": 2.0, "c": 3}}),
            ("inputs lack a column", {"inputs": {"a": [1.0], "b": [2.0]}}),
            ("inputs are records", {"inputs": [{"a": 1.0, "b": 2.0, "c": 3}]}),
            ("two forms", {"inputs": [[1, 2, 3]], "instances": [[1, 2, 3]]}),
            ("no form", {"more": 1}),
            ("a list", [[1, 2, 3]]),
            ("broken", b"{"),
            ("not UTF-8", b"\xff\xfe"),
            ("params", _split("abc", [1, 2, 3], params={"temperature": 1})),
            ("another type", b"<a/>", "application/xml"),
            ("another charset", b"a,b,c\n1,2,3", "text/csv; charset=latin-1"),
            ("CSV", b"a,b,c\n1,2,3\n4,-5,6\n", CSV),
            ("CSV in another order", b"c,b,a\n3,2.5,1.5\n", "text/csv; charset=utf-8"),
            ("CSV with another column", b"a,b,c,d\n1.0,2.0,3,z\n", CSV),
            ("CSV with quotes", b'a,"b","c"\r\n"1.0",2.0,3\r\n', CSV),
            ("CSV lacks a column", b"a,b\n1,2\n", CSV),
            ("CSV with text", b"a,b,c\n1.0,q,3\n", CSV),
            ("CSV without rows", b"a,b,c\n", CSV),
            ("empty CSV", b"", CSV),
            ("CSV that is not UTF-8", b"a,b,c\n1,2,\xff\n", CSV),
            ("text that is a number", _split("abc", ["1", 2, 3]), JSON, _STRICT, 400),
            ("a truth value", _split("abc", [True, 2, 3]), JSON, _STRICT, 400),
            ("instances without names", {"instances": [[1, 2, 3]]}, JSON, _LIST),
            ("inputs without names", {"inputs": [[1, 2, 3]]}, JSON, _LIST),
            ("CSV without a header", b"1,2,3\n4,5,6\n", CSV, _LIST + "; SageMaker's CSV has no header"),
            ("CSV that says that it has a header", b"a,b,c\n1,2,3\n", "text/csv; header=present",
             "RFC 4180 has the parameter; MLflow takes none but charset"),
            ("null", _split("abc", [1, None, 3]), JSON, _FAILS, 422),
            ("CSV with a missing value", b"a,b,c\n1,,3\n", CSV, _FAILS, 422),
            ("an index of another length", {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1, 2, 3]],
             "index": [7, 8]}}, JSON, "the index is ignored; MLflow repeats the row"),
            ("CSV with a long line", b"a,b,c\n1,2,3,4\n", CSV, _RAGGED, 400),
        )
    ),
    *(
        Row("points", name, *body)
        for name, *body in (
            ("inputs", {"inputs": [[1, 2], [3, -4.5]]}),
            ("instances", {"instances": [[1, 2], [3, -4.5]]}),
            ("inputs by name", {"inputs": {"X": [[1, 2], [3, -4.5]]}}),
            ("instances by name", {"instances": [{"X": [1, 2]}, {"X": [3, -4.5]}]}),
            ("bare NaN", b'{"inputs": [[1, NaN]]}'),
            ("null", {"inputs": [[1, None]]}),
            ("no rows", {"inputs": []}),
            ("another width", {"inputs": [[1, 2, 3]]}),
            ("text", {"inputs": [["a", 2]]}),
            ("another name", {"inputs": {"Y": [[1, 2]]}}),
            ("records lack it", {"dataframe_records": [{"Y": 1}]}),
            ("a table by position", _split("ab", [1, 2]), JSON, _LIST),
            ("CSV", b"a,b\n1,2\n", CSV, "MLflow takes no CSV for tensors; a matrix is a table here"),
            ("too large for FP32", {"inputs": [[1e39, 2]]}, JSON, "it is no FP32; MLflow makes it infinite", 400),
            ("a cell that is a row", _split(["X"], [[1, 2]]), JSON,
             "a table is answered by row; MLflow answers by output, as the table held tensors"),
        )
    ),
    *(
        Row("frame", name, *body)
        for name, *body in (
            ("split", _split(["age", "visits"], [1.5, 2], [3, 4])),
            ("split in another order", _split(["visits", "x", "age"], [2, "z", 1], [4, None, 3.5])),
            ("records", {"dataframe_records": [{"age": 1.5, "visits": 2}]}),
            ("split lacks a column", _split(["age"], [1.5])),
            ("null in an integer column", _split(["age", "visits"], [1.5, None])),
            ("null in a float column", _split(["age", "visits"], [None, 3], [1, 2])),
            ("CSV", b"visits,age\n2,1.5\n4,3\n", CSV),
            ("CSV with missing values", b"visits,age\n2,NA\n4,\n", CSV),
            ("CSV with a fraction of an integer", b"visits,age\n2.5,1\n", CSV),
            ("a fraction of an integer", _split(["age", "visits"], [1, 2.5]), JSON, "MLflow cuts it off", 400),
        )
    ),
]  # fmt: skip


def content_of(body: Any) -> bytes:
    """Return the bytes of a body."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()
