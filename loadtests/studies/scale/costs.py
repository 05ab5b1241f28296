"""What each question to the store costs a Redis, and what many machines ask: the arithmetic of the study."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from redis import Redis

from gateway.control.pace import pause_s
from loadtests.studies.scale.live import LOOK_EVERY_S, REPORT_EVERY_S, TICK_EVERY_S

ASKED_EVERY_S = 0.875
"""The mean of what `gateway.control.cadence` draws."""


class Cost(NamedTuple):
    """The mean of one question: processor time of the server, bytes to and from it, and the time until the reply."""

    cpu_us: float
    in_bytes: float
    out_bytes: float
    took_s: float


class Usage(NamedTuple):
    """What a server has used and done since its start."""

    at_s: float
    cpu_s: float
    in_bytes: int
    out_bytes: int
    commands: int


def usage(server: Redis) -> Usage:
    """Return what a server has used up to now."""
    info = server.info("all")
    cpu_s = info["used_cpu_user_main_thread"] + info["used_cpu_sys_main_thread"]
    counts = (info["total_net_input_bytes"], info["total_net_output_bytes"], info["total_commands_processed"])
    return Usage(time.monotonic(), cpu_s, *counts)


def measure(server: Redis, ask: Callable[[], object], times: int) -> Cost:
    """Return the cost of a question that one client asks again and again."""
    ask()
    before = usage(server)
    for _ in range(times):
        ask()
    after = usage(server)
    return Cost(
        1e6 * (after.cpu_s - before.cpu_s) / times,
        (after.in_bytes - before.in_bytes) / times,
        (after.out_bytes - before.out_bytes) / times,
        (after.at_s - before.at_s) / times,
    )


def rates(machines: int, replicas: int, routes: int, count: Cost) -> dict[str, float]:
    """Return how often each question is asked in a second. Each route gets requests between two looks."""
    looks = machines / LOOK_EVERY_S
    return {
        "marks": looks + machines * replicas / ASKED_EVERY_S,
        "beat": looks,
        "counted since": looks,
        "count": machines / (LOOK_EVERY_S + pause_s(machines, count.took_s)),
        "look at a route": routes / LOOK_EVERY_S,
        "report, the same": machines * replicas / REPORT_EVERY_S,
    }


def rates_before(machines: int, replicas: int, routes: int) -> dict[str, float]:
    """Return the same of the version before: every machine looks at every route, every replica asks at every tick."""
    looks = machines / LOOK_EVERY_S
    return {
        "marks": 2 * looks + 2 * machines * replicas / TICK_EVERY_S,
        "counted since, of all routes": looks,
        "count": replicas * looks,
        "look at a route": machines * routes / LOOK_EVERY_S,
        "report, whole": machines * replicas / REPORT_EVERY_S,
        "all reports, in a script": machines * replicas / REPORT_EVERY_S,
    }


def summed(asked: Mapping[str, float], costs: Mapping[str, Cost]) -> tuple[float, float, float]:
    """Return processor time in percent of a core, MB to and MB from the server in a second."""
    cpu = sum(rate * costs[name].cpu_us for name, rate in asked.items()) / 1e4
    to, back = (
        sum(rate * costs[name][place] for name, rate in asked.items()) / 1e6
        for place in (Cost._fields.index("in_bytes"), Cost._fields.index("out_bytes"))
    )
    return cpu, to, back
