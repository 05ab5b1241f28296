"""Builds the overlays of `k8s/` with kustomize, which `kubectl` brings, and without a cluster."""

import shutil
import subprocess
from functools import cache
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
def _text(folder: str) -> str:
    done = subprocess.run(
        ["kubectl", "kustomize", str(ROOT / "k8s" / folder)], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def build(folder: str) -> list[dict[str, Any]]:
    """Return the objects of an overlay. The caller may change them."""
    need_kustomize()
    return [each for each in yaml.safe_load_all(_text(folder)) if each]


def ray_service(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the RayService among the objects."""
    (found,) = [each for each in objects if each["kind"] == "RayService"]
    return found
