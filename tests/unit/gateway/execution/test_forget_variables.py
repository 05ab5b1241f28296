"""Credentials are gone from a process before a model's code runs in it."""

import subprocess
import sys

_CODE = """
import ctypes
import os
from pathlib import Path
from gateway.execution.forget_variables import forget_variables

forget_variables(("AWS_", "MLFLOW_"))
assert not any(name.startswith(("AWS_", "MLFLOW_")) for name in os.environ)
assert os.environ["KEPT"] == "a value"
assert not ctypes.CDLL(None).getenv(b"AWS_SECRET_ACCESS_KEY")
print(Path("/proc/self/environ").read_bytes())
"""


def test_a_variable_that_is_forgotten_cannot_be_read_from_the_kernel():
    secrets = {"AWS_SECRET_ACCESS_KEY": "a-secret-of-s3", "MLFLOW_TRACKING_TOKEN": "a-token"}
    environment = {"KEPT": "a value", **secrets, "LAST": "AWS_X=stays", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", _CODE], env=environment, capture_output=True, text=True, timeout=60.0, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not any(secret in done.stdout for secret in secrets.values())
    assert "a value" in done.stdout
    assert "LAST=AWS_X=stays" in done.stdout
