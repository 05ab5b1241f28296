"""New versions are asked requests that a gateway has logged: by hand, and before an alias is followed."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.integration.test_following import Followed
from tests.support import linear
from tests.support.gateway_process import GatewayProcess, running
from tests.support.polling import wait_until

ROUTE = {
    "route": "s",
    "arms": {"a": "linear@champion"},
    "split": {"a": "100%"},
    "check": {"logged": 200, "above": "30%"},
}
AGREE, DIFFER = [1, 1, 1, 1], [-1, 1, 1, 1]
"""The label of version 1 is 1 if the sum of a row is above 0, so it is always 1 here.

That of version 4 is 1 if the first number is above 0."""
REQUESTS = [[AGREE]] * 7 + [[DIFFER]] * 2 + [[AGREE, DIFFER]]
SHARE = (2 + 0.5) / 10
"""By which version 4 differs: two of ten requests differ, and half of another one."""


@pytest.fixture
def followed(tmp_path) -> Iterator[Followed]:
    """Start a gateway on version 1, of which the log holds ten requests; 3 has its labels, 2 the opposite ones."""
    registry = linear.fill(tmp_path / "models")
    linear.publish(registry, "linear", "3", 3 * np.asarray(linear.WEIGHTS["1"]))
    by_first = np.zeros((4, 2), "f4")
    by_first[0, 1] = 1
    linear.publish(registry, "linear", "4", by_first)
    settings = {"POINTSMAN_ENGINE": "uvicorn", "POINTSMAN_REGISTRY": str(registry), "POINTSMAN_SEGMENT_MAX_AGE_S": "1"}
    with running(GatewayProcess(tmp_path / "var", "serve", **settings)) as gateway:
        gateway.declare(ROUTE)
        for rows in REQUESTS:
            tensor = {"name": "X", "shape": [len(rows), 4], "datatype": "FP32", "data": rows}
            response = httpx.post(f"{gateway.url}/v2/models/s/infer", json={"inputs": [tensor]}, trust_env=False)
            assert response.json()["outputs"][0]["data"] == [1] * len(rows)
        wait_until(lambda: rows_in_parquet(gateway.home / "log") == 11)
        yield Followed(gateway, registry)


def rows_in_parquet(log: Path) -> int:
    return sum(pq.read_metadata(path).num_rows for path in log.glob("inferences/route=s/*/*.parquet"))


def validated(followed: Followed, version: str, *more: str) -> tuple[int, dict]:
    done = followed.gateway.cli("models", "validate", f"linear:{version}", "--logged", "s", "--json", *more)
    return done.returncode, json.loads(done.stdout)


def step_of(followed: Followed, version: str) -> dict:
    """Return the last step of a version in `/api/models`, which `models show` prints."""
    shown = json.loads(followed.gateway.cli("models", "show", f"linear:{version}", "--json").stdout)
    return shown["steps"][-1]


@pytest.mark.timeout(600)
def test_validate_says_in_how_many_logged_requests_a_version_differs(followed):
    code, same = validated(followed, "3")
    assert (code, same["logged"]["found"], same["logged"]["asked"], same["logged"]["differ"]) == (0, 10, 10, 0.0)
    assert same["logged"]["left_out"] == {}
    for version, share in (("2", 1.0), ("4", SHARE)):
        code, found = validated(followed, version)
        assert (code, found["valid"], found["logged"]["differ"]) == (0, True, share)
    code, found = validated(followed, "4", "--above", "24%")
    assert (code, found["valid"]) == (1, False)
    assert "at most 24 % may: 25 % of 10 logged requests" in found["reason"]
    assert validated(followed, "4", "--above", "25%")[0] == 0
    code, wide = validated(followed, "4", "--since", "1us")
    assert (code, wide["logged"]["found"]) == (0, 0)
    other = json.loads(
        followed.gateway.cli("models", "validate", "wide:1", "--logged", "s", "--above", "0%", "--json").stdout
    )
    assert (other["valid"], other["logged"]["left_out"]) == (True, {"of another signature": 10})
    text = followed.gateway.cli("models", "validate", "linear:4", "--logged", "s").stdout
    assert "25 % of 10 logged requests of the last 1d of route s get another answer" in text
    refused = followed.gateway.cli("models", "validate", "linear:4", "--logged", "../s")
    assert refused.returncode == 1


@pytest.mark.timeout(600)
def test_an_alias_is_followed_only_to_a_version_whose_answers_differ_seldom_enough(followed):
    followed.point(champion="2")
    wait_until(lambda: "at most 30 % may: 100 % of 10 logged" in followed.warnings("s"), within_s=120.0)
    assert followed.status("s")["serves"] == {"a": "1"}
    assert (step_of(followed, "2")["step"], step_of(followed, "2")["state"]) == ("logged requests of route s", "failed")
    followed.point(champion="4")
    followed.wait_for("s", serves={"a": "4"})
    assert step_of(followed, "4")["detail"].startswith("25 % of 10 logged requests of the last 1d of route s")
    followed.point(champion="1")  # back to what the arm had before, which is not asked
    followed.wait_for("s", serves={"a": "1"})
    assert followed.history("s") == ["apply", "follow a to 4", "follow a to 1"]
    assert "logged requests" not in step_of(followed, "1")["step"]
