"""Lets all replicas of a machine end in order, before the machine ends: what a pod does in its preStop hook.

1. The replicas say that they are not ready, and go on answering. Load balancers and endpoints take a moment to notice.
2. The node of the Ray cluster is drained. Ray Serve starts a replica elsewhere for each one here, if there is room, and
   then stops these in its graceful way: they answer what is in hand, and the last one has the companion ship the log.
3. What a replica that was killed has left behind is shipped.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gateway.companion.files import lock_file
from gateway.companion.keeper import CompanionKeeper
from gateway.replica.leaving import RayNode, announce, read_node
from gateway.settings import Settings
from inference_log.process_lock import is_held
from inference_log.spool import all_segments, held_seats

_LOOK_EVERY_S = 0.2
_RETRY_EVERY_S = 1.0
_COMMAND_S = 30.0
_ABANDONED_S = 2.0
"""Segments that nothing has been working on for so long are shipped by this process."""


def drain_machine(settings: Settings, within_s: float, on_step: Callable[[str], None]) -> str:
    """Let the replicas end. Return a sentence that says what is left after `within_s`, or an empty text.

    Raises:
        OSError: the home cannot be written.
    """
    until_s = time.monotonic() + within_s
    announce(settings.home)
    on_step(f"not ready any more; answering for {settings.leave_wait_s:g} s more")
    time.sleep(min(settings.leave_wait_s, within_s))
    node = read_node(settings.home)
    if node is not None:
        on_step("draining the node of the Ray cluster")
        refused = _drain_node(node, until_s)
        if refused:
            return f"The node {node.node_id} of the cluster at {node.address} was not drained: {refused}"
        on_step("waiting for requests in hand, and for the log")
        _wait(settings, until_s)
    return _left(settings)


def _drain_node(node: RayNode, until_s: float) -> str:
    """Ask the cluster's head to drain the node, again and again until it answers. Return why it did not."""
    refused = "there was no time left"
    while (left_s := until_s - time.monotonic()) > 0:
        command = [
            str(Path(sys.executable).parent / "ray"), "drain-node", "--address", node.address,
            "--node-id", node.node_id, "--reason", "DRAIN_NODE_REASON_PREEMPTION",
            "--reason-message", "pointsman drain", "--deadline-remaining-seconds", str(int(left_s)),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_S, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            refused = "the head does not answer"
            continue
        if done.returncode == 0:
            return ""
        refused = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        time.sleep(_RETRY_EVERY_S)
    return refused


def _wait(settings: Settings, until_s: float) -> None:
    """Wait until nothing is left. Ship the segments that nothing works on."""
    busy_s = time.monotonic()
    while (now_s := time.monotonic()) < until_s and _left(settings):
        if held_seats(settings.spool) or is_held(lock_file(settings)):
            busy_s = now_s
        elif now_s - busy_s > _ABANDONED_S:
            CompanionKeeper(settings, is_first=True).finish(within_s=until_s - now_s)
            busy_s = time.monotonic()
        time.sleep(_LOOK_EVERY_S)


def _left(settings: Settings) -> str:
    """Return a sentence that says what has not ended or is not shipped, or an empty text."""
    seats, segments = held_seats(settings.spool), all_segments(settings.spool)
    if not seats and not segments and not is_held(lock_file(settings)):
        return ""
    return f"{len(seats)} replicas have not ended, and {len(segments)} segments of the log are not shipped."
