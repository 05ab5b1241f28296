"""Waits until every replica serves a change, and prints the result.

A change is live when at least one replica exists and every one that counts serves it. A replica that is silent for a
while may be loading a version, so it counts. One that is silent for longer than `_SILENT_AT_MOST_S` does not, unless
there is no other; it is named.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gateway.cli.api_error import ApiError
from gateway.cli.client import ApiClient
from gateway.cli.output import Progress, format_by_arm, print_json, say
from router.quantities import format_rough_duration

PATIENCE_S = 60.0
"""Long enough for a dedicated version, which starts a process first."""
EXIT_NOT_LIVE = 3
"""The exit code of a command whose change was made, but is not live yet."""
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_PAUSE_GROWTH = 1.5
_SERVER_ERROR = 500
_PROGRESS_AFTER_S = 2.0
_SILENT_AT_MOST_S = 20.0


class NotLive(ValueError):
    """The change was made, but is not live within the patience."""

    exit_code = EXIT_NOT_LIVE


class Look(NamedTuple):
    """What the replicas reported. `missing` count and do not serve the change; `silent` do not count."""

    serving: list[str]
    missing: list[dict[str, Any]]
    silent: list[dict[str, Any]]

    @property
    def is_live(self) -> bool:
        """Return True if there is a replica, and all of them serve the change."""
        return bool(self.serving) and not self.missing

    @property
    def live_on(self) -> dict[str, bool]:
        """Return, for each replica that counts, True if it serves the change."""
        return dict.fromkeys(self.serving, True) | {each["replica"]: False for each in self.missing}


def await_live(
    client: ApiClient,
    entries: Sequence[dict[str, Any]],
    as_json: bool,
    outcomes: Mapping[str, str] | None = None,
    patience_s: float = PATIENCE_S,
) -> None:
    """Wait until the replicas that exist serve these versions, and print them.

    `outcomes` says for each route whether it was created, changed or left unchanged. Without it there is one entry, the
    result of a command, and its JSON is one object.

    Raises:
        NotLive: a replica does not serve them within the patience, or there is none.
    """
    progress = Progress()
    began_s = time.monotonic()
    pause_s = _FIRST_PAUSE_S
    wanted = {entry["route"]: entry["version"] for entry in entries}
    look = _look(client, wanted)
    while not look.is_live and time.monotonic() - began_s < patience_s:
        if time.monotonic() - began_s > _PROGRESS_AFTER_S and not as_json:
            progress.step(_waited_for(look))
        time.sleep(pause_s)
        pause_s = min(_PAUSE_GROWTH * pause_s, _LONGEST_PAUSE_S)
        look = _look(client, wanted)
    progress.done()
    took_s = time.monotonic() - began_s
    if as_json:
        found = {
            "live": look.is_live,
            "live_on": look.live_on,
            "missing": look.missing,
            "silent": look.silent,
            "took_s": round(took_s, 3),
        }
        results = [{**entry, **found} for entry in entries]
        print_json(
            results[0] if outcomes is None else [{**each, "outcome": outcomes[each["route"]]} for each in results]
        )
    else:
        for entry in entries:
            outcome = outcomes[entry["route"]] if outcomes else None
            say(
                f"{entry['route']} {_verb(outcome)} version {entry['version']}{_phase(entry)} "
                f"({format_by_arm(entry['weights'])}), {_how_live(look)} after {took_s:.2f} s"
            )
        if look.is_live and look.silent:
            say(f"Not counted: {', '.join(map(_described, look.silent))}.", err=True)
    if not look.is_live:
        raise NotLive(_not_live(look))


def phase_of(document: Mapping[str, Any]) -> str:
    """Return `PROGRESSING 2/5`, the phase of a bandit, or an empty text for a split."""
    rollout, bandit = document["rollout"], document.get("bandit")
    if rollout is None:
        return str(bandit["phase"]) if bandit is not None and bandit["acts"] else ""
    return f"{rollout['phase']} {rollout['step']}/{rollout['of_steps']}" if rollout["step"] else str(rollout["phase"])


def _verb(outcome: str | None) -> str:
    if outcome is None:
        return "is at"
    return "is unchanged at" if outcome == "unchanged" else f"was {outcome} and is at"


def _phase(entry: Mapping[str, Any]) -> str:
    phase = phase_of(entry)
    return f", {phase}" if phase else ""


def _how_live(look: Look) -> str:
    counted = len(look.serving) + len(look.missing)
    if look.is_live:
        return f"live on {counted} of {counted} replicas"
    if not counted:
        return "not live: no replica reports"
    return f"not live yet: on {len(look.serving)} of {counted} replicas"


def _waited_for(look: Look) -> str:
    if not look.missing:
        return "made; waiting for a replica to report"
    return f"made; waiting for {', '.join(each['replica'] for each in look.missing)}"


def _not_live(look: Look) -> str:
    if not look.missing:
        return (
            "The change is made, but no replica reports; start the gateway, or see its log. `pointsman status` shows "
            "what is there."
        )
    return (
        "The change is made, but not every replica serves it yet; they go on, and `pointsman status` shows when. "
        f"Missing: {', '.join(map(_described, look.missing))}."
    )


def _described(replica: Mapping[str, Any]) -> str:
    """Return a replica's name, and why it does not serve the change."""
    if replica["state"] != "LIVE":
        return f"{replica['replica']} (silent for {format_rough_duration(replica['age_s'])})"
    serves = " ".join(f"{route}@{version}" for route, version in replica["serves"].items()) or "no such route"
    problems = " ".join(replica["problems"].values())
    return f"{replica['replica']} (serves {serves}{f': {problems}' if problems else ''})"


def _look(client: ApiClient, wanted: Mapping[str, int]) -> Look:
    """Ask which replicas serve every route at its version.

    The change is made already, so a gateway that does not answer now is waited for like one without a replica.
    """
    try:
        replicas = client.replicas(list(wanted))
    except ApiError as error:
        if error.status is not None and error.status < _SERVER_ERROR:
            raise
        return Look([], [], [])
    is_none_live = not any(replica["state"] == "LIVE" for replica in replicas)
    look = Look([], [], [])
    for replica in replicas:
        is_live, age_s = replica["state"] == "LIVE", float(replica.get("age_s", _SILENT_AT_MOST_S))
        if is_live and all(replica["routes"].get(name, 0) >= version for name, version in wanted.items()):
            look.serving.append(replica["replica"])
            continue
        found = {
            "replica": replica["replica"],
            "state": replica["state"],
            "age_s": age_s,
            "serves": {name: replica["routes"][name] for name in wanted if name in replica["routes"]},
            "problems": {name: why for name, why in replica.get("problems", {}).items() if name in wanted},
        }
        (look.missing if is_live or is_none_live or age_s < _SILENT_AT_MOST_S else look.silent).append(found)
    return look
