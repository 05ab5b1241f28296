"""While a version loads, changes of other routes take effect; nothing that loads delays the start or the end."""

import contextlib
import threading
import time
from typing import Any

import httpx
import pytest

from tests.integration.support_loading import Watched
from tests.support.hanging_models import publish_slow
from tests.support.polling import wait_until

LOADS_FOR_S = 10.0


@pytest.fixture
def watched(tmp_path):
    made = Watched(tmp_path / "var")
    yield made
    made.close()


@pytest.mark.parametrize("placement", ["replica", "process"])
def test_aborts_and_revoked_keys_take_effect_while_a_version_loads(watched, placement):
    watched.start()
    publish_slow(watched.models, "slow", "1", LOADS_FOR_S, placement=placement)
    watched.declare({"route": "slow", "arms": {"a": "slow:1"}, "split": {"a": "100%"}})
    wait_until(lambda: "loading slow:1 since" in watched.trouble("slow"))
    watched.require_unharmed("beside")
    assert "loading slow:1 since" in watched.trouble("slow")
    wait_until(lambda: watched.infer("slow").status_code == 200)
    watched.end()


def test_an_operators_apply_waits_for_the_version_and_other_changes_do_not(watched):
    watched.start()
    publish_slow(watched.models, "slow", "1", LOADS_FOR_S)
    answers: list[httpx.Response] = []
    applying = threading.Thread(target=lambda: answers.append(watched.apply("slow")))
    applying.start()
    watched.require_unharmed("beside")
    assert answers == []
    applying.join()
    assert answers[0].status_code == 200, answers[0].text
    wait_until(lambda: watched.infer("slow").status_code == 200)
    watched.end()


def test_at_the_start_liveness_answers_and_each_route_serves_before_all_are_loaded(watched):
    watched.start()
    watched.serve("quick", arms={"a": "linear:1"}, split={"a": "100%"})
    publish_slow(watched.models, "slow", "1", LOADS_FOR_S)
    watched.serve("slow", arms={"a": "slow:1"}, split={"a": "100%"})
    watched.end()
    starting = threading.Thread(target=watched.gateway.start)
    starting.start()
    live = f"{watched.gateway.url}/v2/health/live"
    wait_until(lambda: httpx.get(live, trust_env=False).status_code == 200, retried=httpx.HTTPError)
    began_s = time.monotonic()
    assert not watched.gateway.is_ready()
    wait_until(lambda: watched.infer("quick").status_code == 200)
    assert watched.infer("slow").status_code == 503
    assert time.monotonic() - began_s < LOADS_FOR_S
    wait_until(lambda: watched.infer("slow").status_code == 200)
    starting.join()
    watched.end()


def test_sigterm_ends_the_process_while_versions_load_and_an_operator_waits_for_one(watched):
    watched.start()
    for name in ("waited-for", "declared"):
        publish_slow(watched.models, name, "1", 600.0)
    watched.declare({"route": "declared", "arms": {"a": "declared:1"}, "split": {"a": "100%"}})
    refused: list[int] = []

    def apply() -> None:
        with contextlib.suppress(httpx.TransportError):
            refused.append(watched.apply("waited-for").status_code)

    applying = threading.Thread(target=apply)
    applying.start()
    wait_until(lambda: "loading declared:1" in watched.trouble("declared"))
    watched.end()
    applying.join()
    assert 200 not in refused


def test_the_step_of_a_version_that_is_being_tried_is_on_show_and_later_all_of_them(watched):
    watched.start()
    publish_slow(watched.models, "slow", "1", LOADS_FOR_S)
    watched.declare({"route": "slow", "arms": {"a": "slow:1"}, "split": {"a": "100%"}})

    def shown() -> dict[str, Any]:
        return next((each for each in watched.request("GET", "/api/models").json() if each["model"] == "slow"), {})

    wait_until(lambda: (shown().get("trying") or {}).get("step") == "load", shows=shown)
    assert shown()["state"] == "LOADING"
    wait_until(lambda: shown()["serves"], shows=shown)
    version = shown()
    assert (version["state"], version["trying"]) == ("READY", None)
    seconds = {each["step"]: each["seconds"] for each in version["steps"]}
    assert seconds["load"] >= LOADS_FOR_S
    assert list(seconds)[-1] == "batching"
    watched.end()
