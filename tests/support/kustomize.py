"""Builds the overlays of `k8s/` with kustomize, which `kubectl` brings, and without a cluster."""

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.components import missing
from tests.support.paths import ROOT

FOLDERS = ("base", "overlays/dev", "overlays/prod")


def need_kustomize() -> None:
    """Skip the test where there is no kubectl; in CI, fail it."""
    if shutil.which("kubectl") is None:
        missing("kubectl is not installed, which builds the overlays of k8s/")


@cache
def _text(folder: str, *components: str) -> str:
    if not components:
        return _built(ROOT / "k8s" / folder)
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(ROOT / "k8s", copy, dirs_exist_ok=True)
        with (Path(copy) / folder / "kustomization.yaml").open("a") as overlay:
            overlay.write(yaml.safe_dump({"components": [f"../../components/{each}" for each in components]}))
        return _built(Path(copy) / folder)


def _built(folder: Path) -> str:
    command = ["kubectl", "kustomize", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def build(folder: str, *components: str) -> list[dict[str, Any]]:
    """Return the objects of an overlay that names these components, too. The caller may change them."""
    need_kustomize()
    return [each for each in yaml.safe_load_all(_text(folder, *components)) if each]


def ray_service(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the RayService among the objects."""
    (found,) = [each for each in objects if each["kind"] == "RayService"]
    return found
