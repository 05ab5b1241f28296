"""Two machines share the routes of one Redis. If the one that evaluates a rollout dies, the other aborts it in time."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from gateway.companion.completeness import machine_name
from inference_log.process_lock import holder
from router.rendezvous import owner_of
from store.interface import Store
from store.machines import SILENT_S
from tests.integration.test_guardrails_see import EIGHT, called, publish_linear
from tests.support.gateway_process import GatewayProcess
from tests.support.polling import wait_until

ABORTED_WITHIN_S = SILENT_S + 1.0
"""From the death of the owner, if the evidence was there: two looks, of half a second, after it counts as gone."""
SLOWER = 5.0
"""This machine may have other work."""


class Machine:
    """A gateway of one replica, which is a machine of its own: it has a home and a companion."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway
        self.name = machine_name(gateway.home / "spool")

    def signal(self, number: int) -> None:
        """Send a signal to the companion and the replica."""
        companion, _ = wait_until(lambda: holder(self.gateway.home / "spool" / "companion" / "lock"))
        for pid in (self.gateway.process.pid, companion):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


@pytest.fixture
def machines(server, tmp_path) -> Iterator[list[Machine]]:
    """Start two machines. The test may kill them."""
    made = [
        GatewayProcess(
            tmp_path / name,
            "serve",
            POINTSMAN_ENGINE="uvicorn",
            POINTSMAN_STORE=server.url,
            POINTSMAN_REGISTRY=str(tmp_path / "one" / "models"),
            POINTSMAN_REGISTRY_EVERY_S="1",
        )
        for name in ("one", "two")
    ]
    made[0].home.mkdir()
    publish_linear(made[0], "linear", 1, of_batch=True)
    with ExitStack() as stack:
        for gateway in made:
            gateway.start()
            stack.callback(gateway.end)
        yield [Machine(gateway) for gateway in made]


def begin(machines: list[Machine], store: Store, route: str) -> tuple[Machine, Machine]:
    """Start a rollout of a version whose answers are missing, and return the owner of the route and the other one."""
    gateway = machines[0].gateway
    gateway.declare({
        "route": route, "arms": {"stable": "linear:1", "canary": "linear:2"}, "fallback": "stable",
        "guardrails": [{"missing_outputs": {"worse_by": "1%"}}],
        "rollout": {"of": "canary", "steps": ["50%", "100%"], "every": "10m"},
    })  # fmt: skip
    wait_until(lambda: len(store.beat(machines[0].name)) == 2, within_s=60)
    owner = owner_of(route, [each.name for each in machines])
    gateway.client.command(route, "start", {"why": "a test"}, gateway.client.route(route)["version"])
    return (machines[0], machines[1]) if owner == machines[0].name else (machines[1], machines[0])


def whats(store: Store, route: str) -> list[str]:
    return [entry.change.what for entry in store.history(route, 100)]


def aborted_after_s(store: Store, route: str, other: Machine) -> float:
    """Send the other machine requests until the rollout is aborted. Return how long that took."""
    began_s = time.monotonic()
    with called(other.gateway, route, EIGHT, waiting_s=30.0):
        wait_until(lambda: whats(store, route)[0].startswith("abort"), within_s=60, shows=lambda: whats(store, route))
    return time.monotonic() - began_s


def test_a_rollout_whose_owner_is_suspended_or_killed_is_aborted_in_time_and_once(machines, opened, server):
    store = opened(server.url)
    took_s: dict[str, float] = {}
    owner, other = begin(machines, store, "healthy")
    took_s["no fault"] = aborted_after_s(store, "healthy", other)
    owner, other = begin(machines, store, "suspended")
    owner.signal(signal.SIGSTOP)
    took_s["SIGSTOP"] = aborted_after_s(store, "suspended", other)
    owner.signal(signal.SIGCONT)
    wait_until(lambda: len(store.beat(other.name)) == 2, within_s=60)
    owner, other = begin(machines, store, "killed")
    owner.signal(signal.SIGKILL)
    took_s["SIGKILL"] = aborted_after_s(store, "killed", other)
    print("seconds to the abort:", json.dumps(took_s))  # noqa: T201  # see it with -s
    for route in ("healthy", "suspended", "killed"):
        assert whats(store, route) == ["abort canary: missing_outputs", "start", "apply"], route
    assert all(each < SLOWER * ABORTED_WITHIN_S for each in took_s.values()), took_s
