"""A registry directory with one real model in two versions."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import skops.io
import yaml
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LinearRegression

from runtimes.manifest import Manifest, TensorSpec
from tests.support.models import write_version


class Publisher:
    """Write versions as an operator publishes them."""

    def __init__(self, root: Path, content: bytes) -> None:
        self.root = root
        self.content = content
        self._manifest = {
            "file": "model.skops",
            "inputs": (TensorSpec("X", "FP32", (-1, 30)),),
            "outputs": (TensorSpec("y", "FP64", (-1,)),),
        }

    def manifest(self, **change: object) -> Manifest:
        """Return the artifact's manifest, with some changes."""
        said = {"runtime": "sklearn", "sha256": hashlib.sha256(self.content).hexdigest(), **self._manifest}
        return Manifest(**{**said, **change})

    def publish(self, model: str, version: str, **change: object) -> Path:
        """Write a whole version. Return its folder."""
        write_version(self.root, model, version, self.content, **{**self._manifest, **change})
        return self.root / model / version

    def alias(self, model: str, **aliases: str) -> None:
        """Make these the model's aliases."""
        (self.root / model / "aliases.yaml").write_text(yaml.safe_dump(aliases))


@pytest.fixture(scope="session")
def content() -> bytes:
    data = load_breast_cancer()
    return skops.io.dumps(LinearRegression().fit(data.data.astype(np.float32), data.target.astype(np.float64)))


@pytest.fixture
def publisher(tmp_path, content) -> Publisher:
    return Publisher(tmp_path / "models", content)
