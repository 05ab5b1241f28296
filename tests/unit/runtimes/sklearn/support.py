"""Estimators on data frames, and their way through a draft to a runtime."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import skops.io

from runtimes.draft import Draft
from runtimes.kinds import drafter_of
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, TensorSpec
from runtimes.runtime import Runtime
from tests.support.models import load_one
from tests.support.sklearn_estimators import manifest_of

ROWS = 30


def people() -> pd.DataFrame:
    """Return numbers, strings with missing ones, booleans and a category."""
    return pd.DataFrame(
        {
            "age": np.r_[20.0:50.0],
            "fare": np.linspace(90, 5, ROWS),
            "sex": ["m", "f", "f"] * 10,
            "port": pd.Series(["S", "C", None, "Q", "S"] * 6, dtype=object),
            "alone": [True, False] * 15,
            "deck": pd.Categorical(["a", "b", "c"] * 10),
        }
    )


TARGET = np.array(["died", "lived"])[(np.arange(ROWS) % 7 > 2).astype(int)]


def load_model(estimator: Any, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], **more: Any) -> Runtime:
    """Load an estimator under a manifest that a person wrote."""
    content = skops.io.dumps(estimator)
    manifest = Manifest(
        runtime="sklearn",
        file="model.skops",
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=inputs,
        outputs=outputs,
        **more,
    )
    return load_one(content, manifest)


def draft_of(estimator: Any, **said: Any) -> Draft:
    """Draft a manifest."""
    return drafter_of("sklearn")({"model.skops": skops.io.dumps(estimator)}, "model.skops", LoadOptions(), said)


def drafted(estimator: Any) -> tuple[Draft, Runtime]:
    """Draft a manifest, and load the estimator under it."""
    draft, content = draft_of(estimator), skops.io.dumps(estimator)
    return draft, load_one(content, manifest_of(draft, content))


def tensors_of(frame: pd.DataFrame, draft: Draft) -> dict[str, Any]:
    """Return a frame as the inputs of a draft. Missing text is an empty string."""
    return {spec.name: _tensor(frame, spec) for spec in draft.inputs}


def _tensor(frame: pd.DataFrame, spec: TensorSpec) -> Any:
    if spec.columns:
        return frame[list(spec.columns)].to_numpy(np.float64)
    column = frame[spec.name]
    if spec.datatype == "BYTES":
        values = np.empty(len(column), object)
        values[:] = [b"" if pd.isna(value) else str(value).encode() for value in column]
        return values
    return column.to_numpy({"FP64": np.float64, "BOOL": np.bool_, "INT64": np.int64}[spec.datatype])


def text(*values: str) -> Any:
    """Return a BYTES tensor."""
    return np.array([value.encode() for value in values], object)
