"""Which machine evaluates a route: rendezvous hashing (Thaler and Ravishankar, 1998).

Each machine has a score for each route, and the machine with the highest score owns the route. So all machines that
know the same machines agree, a machine that leaves gives up its own routes only, and one that comes takes from each of
the others about the same number.
"""

import hashlib
from collections.abc import Iterable

_SCORE_BYTES = 8


def score(route: str, machine: str) -> int:
    """Return the score of a machine for a route: 64 bits of a hash, the same in every process and version."""
    text = f"{len(machine)} {machine}{route}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=_SCORE_BYTES).digest(), "big")


def owner_of(route: str, machines: Iterable[str]) -> str | None:
    """Return the machine that owns a route; None if there is no machine. It takes about 1 µs for each machine."""
    return max(machines, key=lambda machine: (score(route, machine), machine), default=None)
