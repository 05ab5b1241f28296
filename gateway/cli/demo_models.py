"""The demo's models, trained on the data sets that come with scikit-learn, and the demo's routes.

Model `cancer`: 1 logistic regression (scikit-learn runtime), 2 gradient boosting (ONNX), 3 random forest (ONNX).
Model `digits`: 1 logistic regression (scikit-learn runtime), 2 random forest (ONNX).
"""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
import yaml
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gateway.cli.demo_bandit.route import BANNER
from registry_sync.registries.directory import ALIASES
from router.document.apply import apply
from router.document.commands import Declare
from router.spec.parse import parse_spec
from runtimes.manifest import MANIFEST, Manifest, TensorSpec
from runtimes.manifest_text import manifest_to_yaml
from store.entry import Change, Entry
from store.interface import Store

ROUTES: list[dict[str, Any]] = [
    {
        "route": "cancer",
        "arms": {"stable": "cancer:2", "canary": "cancer:3"},
        "split": {"stable": "90%", "canary": "10%"},
        "unit": "header:x-user-id",
        "fallback": "stable",
        "deadline": "500ms",
    },
    {"route": "digits", "arms": {"stable": "digits@champion"}, "split": {"stable": "100%"}},
    BANNER,
]

_ALIASES = {
    "cancer": {"champion": "2", "challenger": "3"},
    "digits": {"champion": "2", "challenger": "1"},
}


def train(root: Path, on_step: Callable[[str], None]) -> None:
    """Train and write every demo version that does not exist yet.

    The manifest is written last: it marks a version as complete.
    """
    for model, data in (("cancer", load_breast_cancer()), ("digits", load_digits())):
        for version, (runtime, estimator) in _estimators(model).items():
            folder = root / model / version
            if (folder / MANIFEST).exists():
                continue
            on_step(f"training {model}:{version} ({type(estimator).__name__})")
            folder.mkdir(parents=True, exist_ok=True)
            features = data.data.astype(np.float32)
            estimator.fit(features, data.target)
            _write_version(folder, runtime, estimator, tuple(map(str, data.feature_names)), len(data.target_names))
        aliases = root / model / ALIASES
        if not aliases.exists():
            aliases.write_text(yaml.safe_dump(_ALIASES[model]))


def declare(store: Store) -> None:
    """Declare the demo's routes. Skip each route that the store already has."""
    for raw in ROUTES:
        spec = parse_spec(raw)
        if store.read(spec.route) is None:
            now_s = time.time()
            change = Change(who="demo", at_s=now_s, what="apply", why="the demo's first start")
            store.compare_and_set([Entry(apply(None, Declare(spec, now_s)), change)])


def _estimators(model: str) -> dict[str, tuple[str, Any]]:
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    if model == "cancer":
        return {
            "1": ("sklearn", logistic),
            "2": ("onnx", GradientBoostingClassifier(random_state=0)),
            "3": ("onnx", RandomForestClassifier(n_estimators=100, random_state=0)),
        }
    return {
        "1": ("sklearn", logistic),
        "2": ("onnx", RandomForestClassifier(n_estimators=50, random_state=0)),
    }


def _write_version(folder: Path, runtime: str, estimator: Any, columns: tuple[str, ...], classes: int) -> None:
    content = skops.io.dumps(estimator) if runtime == "sklearn" else _to_onnx(estimator, len(columns))
    file = "model.skops" if runtime == "sklearn" else "model.onnx"
    (folder / file).write_bytes(content)
    manifest = Manifest(
        runtime="sklearn" if runtime == "sklearn" else "onnx",
        file=file,
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=(TensorSpec("X", "FP32", (-1, len(columns)), columns),),
        outputs=(TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP32", (-1, classes))),
        description=f"{estimator.steps[-1][1] if hasattr(estimator, 'steps') else estimator}",
    )
    (folder / MANIFEST).write_text(manifest_to_yaml(manifest))


def _to_onnx(estimator: Any, features: int) -> bytes:
    from skl2onnx import to_onnx  # slow to import, and needed only on the first start
    from skl2onnx.common.data_types import FloatTensorType

    model = to_onnx(
        estimator,
        initial_types=[("X", FloatTensorType([None, features]))],
        options={id(estimator): {"zipmap": False}},
    )
    content: bytes = model.SerializeToString()
    return content
