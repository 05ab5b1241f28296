"""A version is asked logged requests in a process with limits, after all other steps."""

import os
import time

import numpy as np
import pytest

from gateway.execution.checking import process
from gateway.execution.checking.messages import Logged, RegistryVersion, ToCheck
from gateway.execution.checking.process import check_in_process
from runtimes.load_options import LoadOptions
from runtimes.manifest import Signature
from tests.support import linear
from tests.support.hanging_models import LINEAR_INPUTS, LINEAR_OUTPUTS
from tests.support.logged import logged_rows, write_log
from tests.support.models import pickled, write_version

SIGNATURE = Signature(LINEAR_INPUTS, LINEAR_OUTPUTS)


class Odd:
    """An estimator like version 1 of model `linear`, but on values that are large."""

    def __init__(self, what: str) -> None:
        self.what = what

    def predict(self, features):
        """Return the label and the scores."""
        if (features > 500).any() and self.what == "hang":
            time.sleep(600)
        if (features > 500).any() and self.what == "crash":
            os._exit(3)
        return (features @ linear.WEIGHTS["1"]).argmax(axis=1)


@pytest.fixture
def site(tmp_path):
    """Return a registry of linear models, and a log in which version 1 has answered 20 requests."""
    linear.fill(tmp_path / "models")
    rows = []
    for number in range(20):
        values = np.full((1 + number % 2, 4), number + 1, "f4")
        scores = values @ linear.WEIGHTS["1"]
        outputs = scores.argmax(axis=1), scores
        rows.append(logged_rows(SIGNATURE, {"X": values}, outputs, number=number, instances=len(values)))
    write_log(tmp_path / "log", "a", rows)
    return tmp_path


def checked(site, version="2", model="linear", is_tried=False, **changes):
    now_s = time.time()
    logged = Logged(
        **{
            "log": str(site / "log"),
            "route": "r",
            "since_s": now_s - 86_400,
            "until_s": now_s,
            "requests": 500,
            **changes,
        }
    )
    what = RegistryVersion(str(site / "models"), model, version)
    options = LoadOptions(allow_pickle=True)
    return check_in_process(ToCheck(what, options, logged, is_tried), lambda _: None)


def states(found):
    return {step.step: step.state for step in found.steps}


def test_the_same_model_differs_in_nothing_and_another_in_all(site):
    same, other = checked(site, "1"), checked(site, "2")
    assert (same.replayed.asked, same.replayed.differ, same.replayed.mean_difference) == (20, 0.0, 0.0)
    assert (other.replayed.asked, other.replayed.differ, other.failure) == (20, 1.0, "")
    assert list(states(same))[-4:] == ["memory", "log read", "logged requests", "batching"]
    assert other.result is not None
    assert "100 % of 20 logged requests of the last 1d of route r get another answer" in (
        other.detail_of("logged requests")
    )


def test_above_the_bound_the_version_fails(site):
    found = checked(site, above=0.5)
    assert (states(found)["logged requests"], found.result, found.replayed.differ) == ("failed", None, 1.0)
    assert "at most 50 % may" in found.failure


def test_a_version_that_was_tried_is_only_asked(site):
    found = checked(site, is_tried=True)
    assert list(states(found))[-5:] == ["load", "signature", "warm-up", "log read", "logged requests"]
    assert (found.failure, found.replayed.differ) == ("", 1.0)
    assert found.result is not None


def test_without_a_log_and_with_a_corrupt_one_the_version_passes_with_a_remark(site):
    nothing = checked(site, route="other", above=0.0)
    assert (states(nothing)["logged requests"], nothing.failure) == ("remark", "")
    assert "no logged requests" in nothing.detail_of("logged requests")
    for path in (site / "log").rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-9])
    corrupt = checked(site, above=0.0)
    assert (states(corrupt)["logged requests"], corrupt.failure, corrupt.replayed.unread_files) == ("remark", "", 1)


@pytest.mark.parametrize(("what", "why"), [("hang", "does not answer within 3 s"), ("crash", "status 3")])
def test_a_version_that_hangs_or_crashes_on_one_of_the_requests_fails(site, monkeypatch, what, why):
    monkeypatch.setattr(process, "_WITHIN_S", {**process._WITHIN_S, "logged requests": 3.0})
    label = LINEAR_OUTPUTS[:1]
    write_version(
        site / "models", "odd", "1", pickled(Odd(what)), file="model.pkl", inputs=LINEAR_INPUTS, outputs=label
    )
    values = np.full((1, 4), 1000, "f4")
    signature = Signature(LINEAR_INPUTS, label)
    write_log(site / "log", "b", [logged_rows(signature, {"X": values}, (np.array([0]),), number=99)], "odd")
    began_s = time.monotonic()
    found = checked(site, model="odd", version="1", route="odd")
    assert (states(found)["logged requests"], found.result) == ("failed", None)
    assert why in found.failure
    assert "at the step logged requests" in found.failure
    assert time.monotonic() - began_s < 60
