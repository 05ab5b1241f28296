"""What came of logged requests is remembered for a while, and is on show."""

import time

import numpy as np
import pytest

from gateway.execution.logged_checks import LoggedChecks
from gateway.execution.process.model import ProcessOptions
from registry_sync.registries.directory import DirectoryRegistry
from registry_sync.version import VersionKey
from router.spec.spec import CheckSpec
from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Signature
from tests.support import linear
from tests.support.hanging_models import LINEAR_INPUTS, LINEAR_OUTPUTS
from tests.support.logged import logged_rows, write_log

SIGNATURE = Signature(LINEAR_INPUTS, LINEAR_OUTPUTS)
ABOVE_HALF = CheckSpec(100, above=0.5)


class Site:
    """A registry of linear models, a log of what version 1 has answered, and a clock."""

    def __init__(self, root) -> None:
        self.root, self.now_s = root, time.time()
        linear.fill(root / "models")
        self.checks = LoggedChecks(
            root, str(root / "log"), ProcessOptions(str(root / "models"), LoadOptions()), lambda: self.now_s
        )

    def log(self, name: str, answered_by: str, count: int = 4) -> None:
        values = np.ones((1, 4), "f4")
        scores = values @ linear.WEIGHTS[answered_by]
        rows = [
            logged_rows(
                SIGNATURE, {"X": values}, (scores.argmax(axis=1), scores), number=number, at_s=self.now_s - 60,
                model_digest=self.key(answered_by).digest,
            )
            for number in range(count)
        ]  # fmt: skip
        write_log(self.root / "log", name, rows)

    def key(self, version: str) -> VersionKey:
        manifest = DirectoryRegistry(self.root / "models").manifest("linear", version)
        return VersionKey("linear", version, manifest.digest)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_a_version_that_differs_is_refused_for_ten_minutes_and_then_asked_anew(site):
    site.log("a", "1")
    key = site.key("2")
    with pytest.raises(ModelRefused, match="at most 50 % may: 100 % of 4 logged requests of the last 1d of route r"):
        site.checks.require("r", ABOVE_HALF, key)
    site.log("a", "1", count=5)
    with pytest.raises(ModelRefused, match="100 % of 4 logged"):
        site.checks.require("r", ABOVE_HALF, key)
    assert not site.checks.has_passed("r", ABOVE_HALF, key)
    (step,) = site.checks.steps()[key]
    assert (step.step, step.state) == ("logged requests of route r", "failed")
    site.now_s += 601
    with pytest.raises(ModelRefused, match="100 % of 5 logged"):
        site.checks.require("r", ABOVE_HALF, key)
    shown_only = CheckSpec(100)
    site.checks.require("r", shown_only, key)
    assert site.checks.has_passed("r", shown_only, key)
    site.now_s += 86_400
    assert not site.checks.has_passed("r", shown_only, key)


def test_an_empty_log_is_said_and_holds_up_nothing_and_own_answers_do_not_count(site):
    key = site.key("2")
    site.checks.require("r", ABOVE_HALF, key)
    assert site.checks.has_passed("r", ABOVE_HALF, key)
    (step,) = site.checks.steps()[key]
    assert (step.state, step.detail) == ("remark", "no logged requests of the last 1d of route r: skipped")
    site.log("own", "2")
    site.log("others", "1", count=2)
    site.now_s += 1
    site.checks.require("r", CheckSpec(100), key)
    (step,) = site.checks.steps()[key]
    assert "100 % of 2 logged requests" in step.detail


def test_a_version_that_cannot_be_loaded_again_is_refused_with_the_step_that_failed(site):
    key = site.key("2")
    (site.root / "models" / "linear" / "2" / "model.onnx").write_bytes(b"other")
    with pytest.raises(ModelRefused, match="changed or damaged"):
        site.checks.require("r", CheckSpec(10), key)
    (step,) = site.checks.steps()[key]
    assert (step.step, step.state) == ("digests of route r", "failed")
