"""Waits until every replica serves what was changed, and says so. Acts, by asking for the status."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from gateway.cli.client import ApiClient
from gateway.cli.output import Progress, print_json
from router.spoken import spoken_weights

_CONVERGE_S = 60.0  # a dedicated version starts a process first
_POLL_S = 0.05
_SAY_AFTER_S = 2.0


def await_live(
    client: ApiClient, entries: Sequence[dict[str, Any]], as_json: bool, outcomes: Mapping[str, str] | None = None
) -> None:
    """Waits until the live replicas serve these versions. `outcomes` says of routes what became of them.

    Raises:
        ValueError: they do not serve them within a minute.
    """
    progress = Progress()
    began_s = time.monotonic()
    wanted = {entry["route"]: entry["version"] for entry in entries}
    live = _applied(client, wanted)
    while not all(live.values()) and time.monotonic() - began_s < _CONVERGE_S:
        if time.monotonic() - began_s > _SAY_AFTER_S and not as_json:
            progress.step("waiting for every replica")
        time.sleep(_POLL_S)
        live = _applied(client, wanted)
    took_s = time.monotonic() - began_s
    said = outcomes or {}
    if as_json:
        shown = [{**entry, "live_on": live, "took_s": round(took_s, 3)} for entry in entries]
        print_json([{**each, "outcome": said[each["route"]]} if said else each for each in shown])
    for entry in entries if not as_json else ():
        typer.echo(
            f"{entry['route']} {_verb(said.get(entry['route']))} version {entry['version']}{_phase(entry)} "
            f"({spoken_weights(entry['weights'])}), "
            f"live on {sum(live.values())} of {len(live)} replicas after {took_s:.2f} s"
        )
    if not all(live.values()):
        raise ValueError("Not every replica serves the change yet; `pointsman status` shows which, and why.")


def phase_of(described: Mapping[str, Any]) -> str:
    """`PROGRESSING 2/5`; empty for a split."""
    rollout = described["rollout"]
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
    """Live replica -> whether it serves at least the wanted version of every route."""
    return {
        replica["replica"]: all(replica["routes"].get(name, 0) >= version for name, version in wanted.items())
        for replica in client.status()["replicas"]
        if replica["state"] == "LIVE"
    }
