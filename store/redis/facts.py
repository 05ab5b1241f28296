"""What a Redis says of itself: whether it evicts keys, keeps its data on its disk, and what its clock shows."""

import time
from typing import NamedTuple

from store.redis.address import RedisAddress
from store.redis.client import ERRORS, RedisClient, make_client

_KEEPS_ALL = "noeviction"


class RedisFacts(NamedTuple):
    """None, or an empty text, if the server does not say.

    `evicts` is the policy by which it evicts keys. `clock_ahead_s` is its clock less this machine's.
    """

    evicts: str = ""
    keeps_on_disk: bool | None = None
    clock_ahead_s: float | None = None


def read_facts(address: RedisAddress) -> RedisFacts:
    """Return what the server says of itself. A question that it does not allow has no answer."""
    try:
        client = make_client(address)
    except ERRORS:
        return RedisFacts()
    try:
        policy = _info(client, "memory", "maxmemory_policy") or _KEEPS_ALL
        on_disk = _info(client, "persistence", "aof_enabled")
        return RedisFacts(
            evicts="" if policy == _KEEPS_ALL else policy,
            keeps_on_disk=None if on_disk is None else on_disk == "1",
            clock_ahead_s=_ahead_s(client),
        )
    finally:
        client.close()


def _info(client: RedisClient, section: str, name: str) -> str | None:
    """Return one value of a section of INFO."""
    try:
        reply = client.execute_command("INFO", section)
    except ERRORS:
        return None
    if not isinstance(reply, dict):
        return None
    return str(reply[name]) if name in reply else None


def _ahead_s(client: RedisClient) -> float | None:
    try:
        before_s = time.time()
        seconds, micros = client.execute_command("TIME")
        after_s = time.time()
    except (*ERRORS, ValueError, TypeError):
        return None
    return float(int(seconds) + int(micros) / 1e6 - (before_s + after_s) / 2)
