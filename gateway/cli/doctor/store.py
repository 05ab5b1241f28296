"""The store: does it answer, how fast, and does it keep what it is given."""

import time
from collections.abc import Iterator
from pathlib import Path

from gateway.cli.doctor.finding import Finding, fault, ok, warning
from gateway.settings import Settings
from store.errors import StoreError
from store.open import open_store
from store.redis.address import is_redis_url, parse_redis_url

_SUBJECT = "store"
_SQLITE = "sqlite:///"
_ROUNDS = 5
_SLOW_S = 0.05
_MOST_AHEAD_S = 1.0


def check_store(settings: Settings) -> Iterator[Finding]:
    """Look at the store that the settings name."""
    advice = "Start it, or correct POINTSMAN_STORE."
    file = settings.store.removeprefix(_SQLITE)
    if file != settings.store and not Path(file).exists():
        yield ok(_SUBJECT, f"{file} is not there yet; the gateway makes it.")
        return
    try:
        store = open_store(settings.store)
    except (StoreError, ValueError) as error:
        yield fault(_SUBJECT, str(error), advice)
        return
    try:
        taken_s = []
        for _ in range(_ROUNDS):
            began_s = time.perf_counter()
            routes = len(store.routes())
            taken_s.append(time.perf_counter() - began_s)
    except StoreError as error:
        yield fault(_SUBJECT, str(error), advice)
        return
    finally:
        store.close()
    said = f"It has {routes} routes and answers in {1000 * min(taken_s):.1f} ms."
    if min(taken_s) > _SLOW_S:
        yield warning(_SUBJECT, said, "Changes are seen late by so much. Move the store nearer to the gateway.")
    else:
        yield ok(_SUBJECT, said)
    if is_redis_url(settings.store):
        yield from _check_redis(settings.store)


def _check_redis(url: str) -> Iterator[Finding]:
    """Look at how a Redis keeps its data. Some services do not say; that is no fault."""
    from store.redis.facts import read_facts

    facts = read_facts(parse_redis_url(url))
    if facts.evicts:
        yield fault(
            _SUBJECT,
            f"A Redis whose memory is full evicts keys (maxmemory-policy {facts.evicts}): sums and documents get lost.",
            "Set maxmemory-policy to noeviction.",
        )
    if facts.keeps_on_disk is False:
        yield warning(
            _SUBJECT,
            "Redis keeps nothing on its disk: a restart loses what was counted since the last snapshot, or all.",
            "Set appendonly to yes, or have a replica of it.",
        )
    if facts.clock_ahead_s is not None and abs(facts.clock_ahead_s) > _MOST_AHEAD_S:
        yield warning(
            "clock",
            f"The clock of Redis is {facts.clock_ahead_s:+.1f} s from this machine's.",
            "Have both set by NTP: steps of rollouts, windows of rewards and days of the log go by them.",
        )
