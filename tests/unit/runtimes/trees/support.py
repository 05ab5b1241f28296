"""Data, and a way to load what was trained on it."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from runtimes.kinds import drafter_of
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, RuntimeName, TensorSpec
from runtimes.runtime import Runtime
from tests.support.models import load_one

FILE_OF = {"lightgbm": "model.txt", "xgboost": "model.ubj", "catboost": "model.cbm"}
ROWS = 200


def numbers(features: int = 4) -> np.ndarray:
    """Return numbers with a missing one in each twentieth row."""
    table = np.random.default_rng(0).normal(size=(ROWS, features))
    table[::20, 1] = np.nan
    return table.astype(np.float32).astype(np.float64)


def frame(*, text: bool = False) -> pd.DataFrame:
    """Return a data frame with words, numbers that are categories, and numbers."""
    generator = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "age": numbers()[:, 0],
            "city": generator.choice(["Basel", "Wien", "Ulm"], ROWS),
            "zone": generator.choice([3, 5], ROWS),
            "income": numbers()[:, 1],
        }
    )
    if text:
        table["note"] = generator.choice(["late again", "paid in time", ""], ROWS)
    return table


def as_categories(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(city=table["city"].astype("category"), zone=table["zone"].astype("category"))


def columns_of(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return a data frame as a request: one tensor for each column."""
    return {
        name: np.array([each.encode() for each in table[name]], object)
        if isinstance(table[name].iloc[0], str)
        else table[name].to_numpy()
        for name in table.columns
    }


def drafted(runtime: RuntimeName, content: bytes, said: Mapping[str, Any] | None = None, **change: Any) -> Manifest:
    """Return the manifest that the drafter reads out of a model."""
    file = change.pop("file", FILE_OF[runtime])
    draft = drafter_of(runtime)({file: content}, file, LoadOptions(), said or {})
    fields = {"inputs": draft.inputs, "outputs": draft.outputs, **draft.more, **change}
    return Manifest(runtime=runtime, file=file, sha256=hashlib.sha256(content).hexdigest(), **fields)


def load_drafted(runtime: RuntimeName, content: bytes, **change: Any) -> Runtime:
    return load_one(content, drafted(runtime, content, **change))


def answers(runtime: Runtime, inputs: Mapping[str, np.ndarray], outputs: Sequence[str] = ()) -> dict[str, np.ndarray]:
    names = outputs or [spec.name for spec in runtime.signature.outputs]
    return dict(zip(names, runtime.run(inputs, names), strict=True))


def matrix_input(width: int, columns: Sequence[str] = (), datatype: str = "FP64") -> tuple[TensorSpec, ...]:
    return (TensorSpec("X", datatype, (-1, width), tuple(columns)),)
