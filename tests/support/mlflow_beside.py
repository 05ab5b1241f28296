"""MLflow's own package behind our packages, for tests that import both. It is no part of our environment."""

import os
import subprocess
import sys
import sysconfig
from importlib.util import find_spec

from tests.conformance.environments import Unavailable, ensure
from tests.support.components import missing
from tests.support.paths import ROOT

_RUN_WITHIN_S = 240


def path_with_mlflow(environment: str = "mlflow-skinny") -> str:
    """Return a PYTHONPATH with everything of ours, and with the MLflow of an environment behind it.

    Skip the test where it cannot be had; in CI, fail it.
    """
    ours = [str(ROOT), sysconfig.get_path("purelib")]
    if find_spec("mlflow") is None:
        try:
            python = ensure(environment)
        except Unavailable as error:
            missing(str(error))
        ours += map(str, python.parent.parent.glob("lib/python*/site-packages"))
    return os.pathsep.join(ours)


def run_module(import_path: str, *command: str) -> str:
    """Run a module that imports MLflow. Return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env={**os.environ, "PYTHONPATH": import_path},
        capture_output=True,
        text=True,
        check=False,
        timeout=_RUN_WITHIN_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
