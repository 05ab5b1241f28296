"""A step's time is the time in which its route was observed: an outage of the whole machine does not end it."""

import os
import signal
import time
from typing import Any

import httpx

from inference_log.process_lock import holder
from tests.integration.test_guardrails_see import QUICK, declare_rollout, status_of
from tests.support.gateway_process import GatewayProcess
from tests.support.polling import wait_until

ROUTE = "suspended"
EVERY_S, STOPPED_S = 6.0, 12.0
_ROUNDED_S = 0.1


def rollout(gateway: GatewayProcess) -> dict[str, Any]:
    found: dict[str, Any] = status_of(gateway, ROUTE)["rollout"]
    return found


def test_a_machine_that_is_suspended_for_longer_than_a_step_has_not_observed_it(gateway):
    """Suspend the replica and the companion while a step is under way. It still needs its time afterwards."""
    arms = {"stable": "cancer:2", "canary": "cancer:1"}
    declare_rollout(gateway, ROUTE, arms, every=f"{EVERY_S:.0f}s")
    companion, _ = wait_until(lambda: holder(gateway.home / "spool" / "companion" / "lock"))
    pids = [companion, gateway.process.pid]
    gateway.client.command(ROUTE, "start", {"why": "a test"}, gateway.client.route(ROUTE)["version"])
    first = rollout(gateway)
    assert (first["phase"], first["step"]) == ("PROGRESSING", 1)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    began_s = time.time()
    try:
        time.sleep(STOPPED_S)
    finally:
        stopped_s = time.time() - began_s
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)
    after = wait_until(lambda: rollout(gateway), retried=Exception)
    assert (after["phase"], after["step"]) == ("PROGRESSING", 1), after
    for _ in range(1000):  # a step needs one request that is drawn for the canary
        answered = httpx.post(f"{gateway.url}/v2/models/{ROUTE}/infer", json=QUICK, trust_env=False).raise_for_status()
        if answered.headers["x-arm"] == "canary":
            break
    second = wait_until(lambda: (now := rollout(gateway))["step"] == 2 and now, shows=lambda: rollout(gateway))
    assert second["since_s"] - first["since_s"] > stopped_s + EVERY_S - _ROUNDED_S
