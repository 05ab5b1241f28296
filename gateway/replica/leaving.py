"""A machine that is about to leave, such as a pod that is being deleted: its replicas say that they are not ready.

`announce` says so, by a file in the home. A replica believes only what was announced after its start: the home of a pod
outlives its container. Each replica on Ray writes to which node of which cluster it belongs, so that the node can be
drained.
"""

import time
from pathlib import Path
from typing import NamedTuple

_FILE = "leaving"
_NODE_FILE = "ray-node"


class RayNode(NamedTuple):
    """A node of a Ray cluster: the address of the cluster's head, and the node's id (hexadecimal)."""

    address: str
    node_id: str


class Leaving:
    """What one replica sees of it. Health checks ask, so it costs one call of the system."""

    def __init__(self, home: Path) -> None:
        self._path = home / _FILE
        self._before_ns = self._announced_ns()

    def is_set(self) -> bool:
        """Return True if it was announced after the start that this machine leaves."""
        return self._announced_ns() not in (0, self._before_ns)

    def why(self) -> str:
        """Return a sentence for callers, or an empty text."""
        return "This machine is about to leave: send requests to another one." if self.is_set() else ""

    def _announced_ns(self) -> int:
        try:
            return self._path.stat().st_mtime_ns
        except OSError:
            return 0


def announce(home: Path) -> None:
    """Say that this machine is about to leave.

    Raises:
        OSError: the home cannot be written.
    """
    (home / _FILE).write_text(f"{time.time_ns()}\n")


def write_node(home: Path, node: RayNode) -> None:
    """Write to which node the replicas of this home belong.

    Raises:
        OSError: the home cannot be written.
    """
    (home / _NODE_FILE).write_text("\n".join(node))


def read_node(home: Path) -> RayNode | None:
    """Return the node to which the replicas of this home belong; None if they run without a cluster."""
    try:
        address, node_id = (home / _NODE_FILE).read_text().split()
    except (OSError, ValueError):
        return None
    return RayNode(address, node_id)
