"""A registry directory with one real model in two versions."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import skops.io
import yaml
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LinearRegression

from runtimes.manifest import Manifest, TensorSpec, manifest_to_yaml


class Publisher:
    """Write versions as an operator publishes them."""

    def __init__(self, root: Path, content: bytes) -> None:
        self.root = root
        self.content = content

    def manifest(self, **change: object) -> Manifest:
        """Return a manifest that is true except for `change`."""
        values = {
            "runtime": "sklearn",
            "file": "model.skops",
            "sha256": hashlib.sha256(self.content).hexdigest(),
            "inputs": (TensorSpec("X", "FP32", (-1, 30)),),
            "outputs": (TensorSpec("y", "FP64", (-1,)),),
        }
        return Manifest(**{**values, **change})

    def publish(self, model: str, version: str, **change: object) -> Path:
        """Write a complete version and return its folder."""
        folder = self.root / model / version
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.skops").write_bytes(self.content)
        (folder / "model.yaml").write_text(manifest_to_yaml(self.manifest(**change)))
        return folder

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
