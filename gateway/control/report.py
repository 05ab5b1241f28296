"""What a replica reports to the store: its identity, what it serves, what is wrong."""

import time
from dataclasses import dataclass

from gateway.inference.live_table import LiveTable
from store.report import Report


@dataclass(frozen=True, slots=True)
class Identity:
    """Which replica this is. `started_s` is in seconds since the epoch."""

    name: str
    pid: int
    started_s: float


def name_on(host: str, part: int | str) -> str:
    """Return the name of a process: its host, and the number of its seat or its role."""
    return f"{host}-{part}"


def host_of(name: str) -> str:
    """Return the host of a process from its name."""
    return name.rpartition("-")[0]


def make_report(identity: Identity, live: LiveTable, trouble: str) -> Report:
    """Return the report of now. `trouble` is what is wrong with the store or the registry, or an empty text."""
    return Report(
        replica=identity.name,
        pid=identity.pid,
        at_s=time.time(),
        started_s=identity.started_s,
        snapshot_hash=live.snapshot.hash,
        routes={name: route.document_version for name, route in live.snapshot.routes.items()},
        problems=live.problems,
        warnings=live.warnings,
        trouble=trouble,
        versions=live.versions,
        policies={name: route.policy_number for name, route in live.snapshot.routes.items() if route.policy_number},
    )
