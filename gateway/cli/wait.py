"""Waits until every live replica serves a change, and prints the result."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.cli.client import ApiClient, ApiError
from gateway.cli.output import Progress, format_by_arm, print_json, say

_CONVERGE_S = 60.0  # long enough for a dedicated version, which starts a process first
_POLL_S = 0.05
_SERVER_ERROR = 500
_PROGRESS_AFTER_S = 2.0
_SILENT_AT_MOST_S = 20.0
"""A replica that loads a version may not report for a while. One that is silent for longer is not waited for, unless
there is no other."""


def await_live(
    client: ApiClient, entries: Sequence[dict[str, Any]], as_json: bool, outcomes: Mapping[str, str] | None = None
) -> None:
    """Wait until the replicas that exist serve these versions, and print them.

    `outcomes` says for each route whether it was created, changed or left unchanged. Without it there is one entry, the
    result of a command, and its JSON is one object.

    Raises:
        ValueError: a replica does not serve them within a minute.
    """
    progress = Progress()
    began_s = time.monotonic()
    wanted = {entry["route"]: entry["version"] for entry in entries}
    live = _applied(client, wanted)
    while not _is_live(live) and time.monotonic() - began_s < _CONVERGE_S:
        if time.monotonic() - began_s > _PROGRESS_AFTER_S and not as_json:
            progress.step("waiting for every replica")
        time.sleep(_POLL_S)
        live = _applied(client, wanted)
    took_s = time.monotonic() - began_s
    if as_json:
        results = [{**entry, "live_on": live, "took_s": round(took_s, 3)} for entry in entries]
        print_json(
            results[0] if outcomes is None else [{**each, "outcome": outcomes[each["route"]]} for each in results]
        )
    else:
        for entry in entries:
            outcome = outcomes[entry["route"]] if outcomes else None
            say(
                f"{entry['route']} {_verb(outcome)} version {entry['version']}{_phase(entry)} "
                f"({format_by_arm(entry['weights'])}), "
                f"live on {sum(live.values())} of {len(live)} replicas after {took_s:.2f} s"
            )
    if not live:
        raise ValueError(
            "The change is stored, but no replica reports; start the gateway, or see its log. `pointsman status` shows "
            "what is there."
        )
    if not all(live.values()):
        missing = ", ".join(sorted(name for name, serves in live.items() if not serves))
        raise ValueError(
            f"Not every replica serves the change yet; `pointsman status` shows which, and why. Missing: {missing}."
        )


def phase_of(document: Mapping[str, Any]) -> str:
    """Return `PROGRESSING 2/5`, or an empty text for a split."""
    rollout = document["rollout"]
    if rollout is None:
        return ""
    return f"{rollout['phase']} {rollout['step']}/{rollout['of_steps']}" if rollout["step"] else str(rollout["phase"])


def _verb(outcome: str | None) -> str:
    if outcome is None:
        return "is at"
    return "is unchanged at" if outcome == "unchanged" else f"was {outcome} and is at"


def _phase(entry: Mapping[str, Any]) -> str:
    phase = phase_of(entry)
    return f", {phase}" if phase else ""


def _applied(client: ApiClient, wanted: Mapping[str, int]) -> dict[str, bool]:
    """Return, for each replica that exists, True if it is live and serves every route at its version.

    The change is stored already, so a gateway that does not answer now is waited for like one without a replica.
    """
    try:
        replicas = client.replicas()
    except ApiError as error:
        if error.status is not None and error.status < _SERVER_ERROR:
            raise
        return {}
    is_none_live = not any(replica["state"] == "LIVE" for replica in replicas)
    return {
        replica["replica"]: replica["state"] == "LIVE" and _serves(replica, wanted)
        for replica in replicas
        if is_none_live or replica["state"] == "LIVE" or replica.get("age_s", math.inf) < _SILENT_AT_MOST_S
    }


def _serves(replica: Mapping[str, Any], wanted: Mapping[str, int]) -> bool:
    return all(replica["routes"].get(name, 0) >= version for name, version in wanted.items())


def _is_live(live: Mapping[str, bool]) -> bool:
    return bool(live) and all(live.values())
