"""What some tests need beside Python: a program, a library, an environment of foreign clients.

Where a component is missing, a test is skipped with a line that says so. CI must not skip it: there the test fails.
"""

import importlib.util
import os
import shutil
from typing import NoReturn

import pytest
from _pytest.mark import ParameterSet

ALL_CASES = "POINTSMAN_ALL_CASES"
"""The variable with which tests run all cases, also those that CI leaves out."""

_PACKAGES = {
    "redis-server": "redis-server",
    "redis-cli": "redis-tools",
    "openssl": "openssl",
    "curl": "curl",
    "promtool": "prometheus",
}
"""The Debian package of each program. `.ci/run` installs them."""


def need_program(name: str) -> None:
    """Skip the test if the program is not installed; in CI, fail it."""
    if shutil.which(name) is None:
        missing(f"{name} is not installed (Debian, Ubuntu: apt-get install {_PACKAGES[name]})")


def need_package(name: str) -> None:
    """Skip the test if the package of Python is not installed; in CI, fail it."""
    if importlib.util.find_spec(name) is None:
        missing(f"{name} is not installed (pip install -r requirements.lock)")


def by_hand(*values: object) -> ParameterSet:
    """Return a parameter that CI leaves out, since it takes a minute and others show the same: `make soak` has it."""
    reason = f"takes long: {ALL_CASES}=1 runs it, as make soak does"
    return pytest.param(*values, marks=pytest.mark.skipif(ALL_CASES not in os.environ, reason=reason))


in_soak = pytest.mark.skipif(
    ALL_CASES not in os.environ, reason=f"takes minutes: {ALL_CASES}=1 runs it, as make soak does"
)
"""Marks a test, or a file, that takes minutes and whose parts others show: `make soak` has it."""


def missing(why: str) -> NoReturn:
    """Skip the test, and say what is missing; in CI, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{why}. CI must have it: see .ci/run.")
    pytest.skip(f"NOT TESTED: {why}")
