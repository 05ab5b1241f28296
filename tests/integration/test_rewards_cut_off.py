"""A running gateway whose rewards of one arm, or of all arms, stop and come back. Its log has twenty minutes of before.

They stop in what the log has, or, by hand, while the gateway runs: an arm that is cut off is noticed when the decisions
have matured, a window and a minute later.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from inference_log.record import Context, Record, Reward, RewardContext
from inference_log.spool import take_seat
from inference_log.writer import LogWriter
from router.document.apply import apply
from router.document.commands import Declare
from router.document.document import Document
from router.rewards.events import Operation
from router.spec.parse import parse_spec
from store.entry import Change, Entry
from store.open import open_store
from tests.support import linear
from tests.support.components import by_hand
from tests.support.gateway_process import GatewayProcess, running
from tests.support.polling import wait_until

ARMS = {"stable": "1", "canary": "2", "third": "1"}
ROUTE = {
    "route": "learns",
    "arms": {arm: f"linear:{version}" for arm, version in ARMS.items()},
    "split": {"stable": "34%", "canary": "33%", "third": "33%"},
    "fallback": "stable",
    "metrics": {"click": {"window": "5s"}},
    "guardrails": [{"reward": {"metric": "click", "worse_by": "2%"}}],
}
X = {"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
PAST_S, CUT_S = 1200, 150
DECISIONS_PER_S = 2
"""Of each arm, in the log."""
REWARDED = 0.6
NOTICED_WITHIN_S = 400.0


def declare(home: Path, at_s: float) -> Document:
    """Declare the route some time ago, in the store of a gateway that does not run."""
    store = open_store(f"sqlite:///{home / 'pointsman.db'}")
    document = apply(None, Declare(parse_spec(ROUTE), at_s))
    store.compare_and_set([Entry(document, Change(who="ada", at_s=at_s, what="apply", why=""))])
    store.close()
    return document


def write_log(home: Path, document: Document, now_s: float, cut: tuple[str, ...], cut_s: float) -> None:
    """Write decisions and their rewards up to now, as replicas and companions do. Those of `cut` end at `cut_s`."""
    dice = random.Random(5)  # noqa: S311  # a test that can be repeated
    seat = take_seat(home / "spool")
    writer = LogWriter(seat.folder, "past")
    metrics, weights = document.spec.metrics, {arm: slots / 10_000 for arm, slots in document.weights.items()}
    contexts = {
        arm: (
            Context(0, "learns", arm, "primary", "split", 1, "abc", weights, "linear", version, "d", metrics=metrics),
            RewardContext(0, "learns", document.declared_us, 1, arm, version, metrics),
        )
        for arm, version in ARMS.items()
    }
    for number in range(PAST_S * DECISIONS_PER_S):
        at_us = int((now_s - PAST_S) * 1e6) + number * 1_000_000 // DECISIONS_PER_S
        for place, (arm, (context, rewards)) in enumerate(contexts.items()):
            id_ = f"{len(ARMS) * number + place:024x}"

            def decided(context: int, sequence: int, id_: str = id_, at_us: int = at_us) -> Record:
                return Record(
                    context, sequence, id_, 0, at_us + 900, "WEIGHTED", 0.33, None, 200, "ok", "", 900, 250, 1, "", "",
                )  # fmt: skip

            def rewarded(context: int, sequence: int, id_: str = id_, at_us: int = at_us) -> Reward:
                return Reward(
                    context, sequence, id_, at_us, 900, 0.33, -1, "click", "", Operation.ADD, at_us + 1, 1.0,
                    at_us + 2, False, "http",
                )  # fmt: skip

            assert writer.append(context, decided)
            if dice.random() < REWARDED and not (arm in cut and at_us > cut_s * 1e6):
                assert writer.append(rewards, rewarded)
    writer.close()
    seat.release()


class Traffic:
    """Asks for predictions, and reports clicks of the arms that are not cut off."""

    def __init__(self, url: str) -> None:
        self.cut: tuple[str, ...] = ()
        self._url = url
        self._dice = random.Random(6)  # noqa: S311  # a test that can be repeated

    def run(self, stop: threading.Event) -> None:
        with httpx.Client(base_url=self._url, trust_env=False, timeout=60) as client:
            while not stop.is_set():
                rewards = []
                for _ in range(20):
                    answered = client.post("/v2/models/learns/infer", json=X)
                    token, arm = answered.headers["x-decision-token"], answered.headers["x-arm"]
                    if arm not in self.cut and self._dice.random() < REWARDED:
                        rewards.append({"decision": token, "metric": "click", "value": 1})
                if rewards:
                    client.post("/v2/rewards", json={"rewards": rewards})
                stop.wait(1.0)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self.run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


class Seen:
    """What a gateway says of the route now."""

    def __init__(self, gateway: GatewayProcess) -> None:
        (self.route,) = gateway.client.status()["routes"]
        rewards: list[dict[str, Any]] = self.route["rewards"]
        self.silent_s = {each["arm"]: each["silent_since_s"] for each in rewards if each["silent_since_s"] is not None}
        self.decisions = sum(each["decisions"] for each in rewards)
        self.states = {each["arm"]: each["state"] for each in self.route["guardrails"]}
        metrics = httpx.get(f"{gateway.url}/metrics", timeout=60, trust_env=False).text
        self.gauges = {
            arm
            for arm in ARMS
            if f'pointsman_rewards_silent{{arm="{arm}",metric="click",route="learns"}} 1.0' in metrics
        }


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("cut", [("canary",), tuple(ARMS)], ids=["one arm", "all arms"])
@pytest.mark.parametrize("stop", ["in the log", by_hand("while it runs")])
def test_silence_is_said_nothing_is_held_against_an_arm_and_it_goes_on_when_rewards_come_back(tmp_path, cut, stop):
    settings = {"POINTSMAN_REGISTRY": str(linear.fill(tmp_path / "models")), "POINTSMAN_ENGINE": "uvicorn"}
    gateway = GatewayProcess(tmp_path / "var", "serve", **settings)
    gateway.home.mkdir()
    now_s = time.time()
    document = declare(gateway.home, now_s - PAST_S - 1)
    cut_s = now_s - CUT_S if stop == "in the log" else now_s
    write_log(gateway.home, document, now_s, cut, cut_s)
    traffic = Traffic(gateway.url)
    with running(gateway):
        gateway.wait_until_ready()
        if stop != "in the log":
            traffic.cut = cut
        with traffic.going_on():
            seen = wait_until(
                lambda: (now := Seen(gateway)).silent_s.keys() == now.gauges == set(cut) and now,
                within_s=NOTICED_WITHIN_S,
                shows=lambda: gateway.client.status()["routes"],
            )
            assert all(abs(since_s - cut_s) < 90 for since_s in seen.silent_s.values())
            for arm, state in seen.states.items():
                assert (state == "BLIND") == ({arm, "stable"} & set(cut) != set()), seen.states
            traffic.cut = ()
            again = wait_until(
                lambda: (
                    not (now := Seen(gateway)).silent_s and not now.gauges and now.decisions > seen.decisions and now
                ),
                within_s=NOTICED_WITHIN_S,
                shows=lambda: gateway.client.status()["routes"],
            )
            assert set(again.states) == {"canary", "third"}
            assert set(again.states.values()) <= {"HEALTHY", "UNDECIDED"}
        assert again.route["version"] == 1, again.route  # no guardrail has changed it meanwhile
        assert again.route["weights"] == {"stable": "34%", "canary": "33%", "third": "33%"}
