"""A running gateway follows the aliases of a directory registry, also if its companion is killed meanwhile."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from gateway.settings import Settings
from inference_log.process_lock import holder
from tests.support import linear
from tests.support.gateway_process import GatewayProcess, running
from tests.support.load import PacedLoad
from tests.support.polling import wait_until

ALIASES = {"stable": "linear@champion", "canary": "linear@champion"}
ROLLOUT = {
    "route": "r",
    "arms": ALIASES,
    "rollout": {"of": "canary", "steps": ["20%", "50%"], "every": "1s", "samples": 10, "starts": "by_alias"},
    "guardrails": [{"errors": {"worse_by": "1%"}}],
    "fallback": "stable",
}
SLOW = {**ROLLOUT, "route": "slow", "rollout": {**ROLLOUT["rollout"], "every": "1h"}}
SPLIT = {
    "route": "s",
    "arms": {"a": "linear@champion", "b": "linear@challenger"},
    "split": {"a": "50%", "b": "50%"},
}
WITHIN_S = 90.0


class Followed:
    """A gateway, and the aliases of its registry."""

    def __init__(self, gateway: GatewayProcess, registry: Path) -> None:
        self.gateway = gateway
        self.registry = registry

    def point(self, **aliases: str) -> None:
        """Let the aliases of the model name these versions, as a publisher does: by one rename."""
        fresh = self.registry / "linear" / ".aliases.new"
        fresh.write_text("".join(f"{alias}: '{version}'\n" for alias, version in aliases.items()))
        fresh.rename(self.registry / "linear" / "aliases.yaml")

    def status(self, route: str) -> dict:
        return next(each for each in self.gateway.client.status()["routes"] if each["route"] == route)

    def warnings(self, route: str) -> str:
        return " ".join(each["warnings"].get(route, "") for each in self.gateway.client.status()["replicas"])

    def history(self, route: str) -> list[str]:
        return [each["what"] for each in self.gateway.client.history(route, 100)][::-1]

    def wait_for(self, route: str, **wanted: object) -> None:
        """Wait until the phase, the bindings or what is served are these."""

        def now() -> dict:
            found = self.status(route)
            bound = {name: each["version"] for name, each in found["bound"].items()}
            phase = found["rollout"] and found["rollout"]["phase"]
            return {"phase": phase, "bound": bound, "serves": found["serves"]}

        wait_until(
            lambda: all(now()[key] == each for key, each in wanted.items()),
            within_s=WITHIN_S,
            shows=lambda: (now(), self.history(route), self.warnings(route), self.gateway.output.read_text()[-4000:]),
        )

    def answered_by(self, path: str) -> tuple[int, str]:
        response = httpx.post(f"{self.gateway.url}/v2/models/{path}/infer", content=BODY, trust_env=False, timeout=60)
        return response.status_code, response.headers.get("x-model-version", response.text)

    def companion(self, *, other_than: int = 0) -> int:
        """Return the pid of the companion, once there is one."""
        lock = Settings(home=self.gateway.home).resolved().spool / "companion" / "lock"

        def running_now() -> int:
            found = holder(lock)
            return found[0] if found is not None and found[0] != other_than else 0

        return wait_until(running_now, within_s=120.0)

    def kill_companion(self) -> None:
        pid = self.companion()
        os.kill(pid, signal.SIGKILL)
        self.companion(other_than=pid)


BODY = json.dumps({"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}).encode()


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Followed]:
    registry = linear.fill(folder / "models")
    linear.publish(registry, "linear", "3", 3 * np.asarray(linear.WEIGHTS["1"]))
    more = {"POINTSMAN_ENGINE": "uvicorn", "POINTSMAN_REGISTRY": str(registry), "POINTSMAN_REGISTRY_EVERY_S": "0.3"}
    with running(GatewayProcess(folder / "var", "serve", **more, **settings)) as gateway:
        yield Followed(gateway, registry)


@pytest.fixture
def followed(tmp_path) -> Iterator[Followed]:
    with serving(tmp_path) as made:
        yield made


@pytest.mark.timeout(600)
def test_an_alias_opens_the_rollout_which_is_promoted_also_if_the_companion_is_killed_at_each_stage(followed):
    followed.gateway.declare(ROLLOUT)
    followed.wait_for("r", phase="READY", bound={"stable": "1", "canary": "1"}, serves={"stable": "1", "canary": "1"})
    assert "once linear@champion names another version than 1" in followed.status("r")["rollout"]["next"]
    with PacedLoad(followed.gateway.port, BODY, "/v2/models/r/infer", 60.0) as load:
        followed.point(champion="2", challenger="2")
        followed.kill_companion()  # it may have read the alias, made the change, or neither
        followed.wait_for("r", bound={"stable": "1", "canary": "2"})
        followed.kill_companion()
        followed.wait_for("r", phase="PROMOTED")
    assert load.failures() == []
    assert followed.history("r") == ["apply", "follow to 2", "advance", "advance"]  # nothing was made twice
    followed.kill_companion()
    with PacedLoad(followed.gateway.port, BODY, "/v2/models/r/infer", 60.0) as load:
        followed.point(champion="3", challenger="2")  # it is the second move, so it waits for ten seconds
        followed.wait_for("r", bound={"stable": "2", "canary": "3"})
        followed.wait_for("r", phase="PROMOTED")
    assert load.failures() == []
    assert followed.history("r")[4:] == ["follow to 3", "advance", "advance"]
    newest = followed.gateway.client.history("r", 100)[2]
    assert (newest["who"], newest["why"]) == ("pointsman", "linear@champion names version 3 now.")


@pytest.mark.timeout(600)
def test_an_alias_that_moves_back_withdraws_the_rollout_and_blames_no_version(followed):
    followed.gateway.declare(SLOW)
    followed.point(champion="2", challenger="2")
    followed.wait_for("slow", phase="PROGRESSING", serves={"stable": "1", "canary": "2"})
    followed.point(champion="1", challenger="2")
    followed.wait_for("slow", phase="READY", serves={"stable": "1", "canary": "1"})
    assert (followed.status("slow")["quarantine"], followed.history("slow")) == (
        [],
        ["apply", "follow to 2", "withdraw"],
    )


@pytest.mark.timeout(600)
def test_a_split_follows_at_once_an_undo_holds_and_any_alias_leads_to_what_an_arm_serves(followed):
    followed.gateway.declare(SPLIT)
    followed.wait_for("s", serves={"a": "1", "b": "2"})
    with PacedLoad(followed.gateway.port, BODY, "/v2/models/s/infer", 60.0) as load:
        followed.point(champion="3", challenger="2", best="3", old="1")
        followed.wait_for("s", serves={"a": "3", "b": "2"})
        wait_until(lambda: followed.answered_by("s/versions/best") == (200, "3"), within_s=WITHIN_S)
        assert followed.answered_by("s/versions/champion") == (200, "3")
        assert followed.answered_by("s/versions/challenger") == (200, "2")
        assert followed.answered_by("s/versions/old")[0] == 404  # no arm serves version 1
        assert followed.gateway.cli("undo", "s").returncode == 0
        followed.wait_for("s", serves={"a": "1", "b": "2"})
        wait_until(lambda: "was taken back from it" in followed.warnings("s"), within_s=WITHIN_S)
        wait_until(lambda: followed.answered_by("s/versions/old") == (200, "1"), within_s=WITHIN_S)
        followed.kill_companion()
        wait_until(lambda: "was taken back from it" in followed.warnings("s"), within_s=WITHIN_S)
    assert load.failures() == []
    assert followed.history("s") == ["apply", "follow a to 3", "undo"]


@pytest.mark.timeout(600)
def test_nothing_that_serves_changes_when_an_alias_or_a_served_version_is_gone(followed):
    followed.gateway.declare(SPLIT)
    followed.wait_for("s", serves={"a": "1", "b": "2"})
    with PacedLoad(followed.gateway.port, BODY, "/v2/models/s/infer", 60.0) as load:
        followed.point(challenger="2")
        wait_until(lambda: "Arm a goes on as it is" in followed.warnings("s"), within_s=WITHIN_S)
        (followed.registry / "linear" / "1").rename(followed.registry / "linear" / ".gone")
        wait_until(lambda: "version '1'" in followed.warnings("s"), within_s=WITHIN_S)
        assert followed.gateway.is_ready()
        assert followed.gateway.cli("shift", "s", "a=40").returncode == 0
        wait_until(lambda: followed.status("s")["converged"], within_s=WITHIN_S)
    assert load.failures() == []
    assert followed.status("s")["serves"] == {"a": "1", "b": "2"}
