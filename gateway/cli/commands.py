"""`pointsman shift, start, pause, resume, promote, reset, abort, undo, release, restore`: sent to the HTTP API.

Each command first reads the route and then names the version that it has read. If two operators send commands at the
same time, the gateway rejects the second one and says so.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gateway.cli.change import make_change
from gateway.cli.client import ApiClient
from gateway.cli.options import OURS, Json, Patience, RouteName, Url, Why
from gateway.cli.output import errors_printed, print_json, say
from gateway.cli.printable import printable
from gateway.cli.wait import PATIENCE_S, await_live


@errors_printed()
def shift(
    route: RouteName,
    weights: Annotated[list[str], typer.Argument(metavar="ARM=PERCENT", help="Such as canary=20%.")],
    url: Url = OURS,
    why: Why = "",
    patience: Patience = PATIENCE_S,
    as_json: Json = False,
) -> None:
    """Set the weights of arms. The other arms share the rest in proportion. Pauses a rollout."""
    _send(url, route, "shift", as_json, patience, weights=_parse_weights(weights), why=why)


@errors_printed()
def start(
    route: RouteName, url: Url = OURS, why: Why = "", patience: Patience = PATIENCE_S, as_json: Json = False
) -> None:
    """Begin the rollout with the version that its arm is bound to now."""
    _send(url, route, "start", as_json, patience, why=why)


@errors_printed()
def pause(
    route: RouteName, url: Url = OURS, why: Why = "", patience: Patience = PATIENCE_S, as_json: Json = False
) -> None:
    """Keep the weights of a rollout as they are. Its guardrails keep watching."""
    _send(url, route, "pause", as_json, patience, why=why)


@errors_printed()
def resume(
    route: RouteName, url: Url = OURS, why: Why = "", patience: Patience = PATIENCE_S, as_json: Json = False
) -> None:
    """Restart the current step of a paused rollout, or approve the next step."""
    _send(url, route, "resume", as_json, patience, why=why)


@errors_printed()
def promote(
    route: RouteName,
    shadow: Annotated[
        str | None, typer.Option("--shadow", help="Begin the rollout of this shadow's version instead.")
    ] = None,
    arm: Annotated[
        str | None, typer.Option("--arm", help="The arm of a bandit; without it, the one with the most traffic.")
    ] = None,
    url: Url = OURS,
    why: Why = "",
    patience: Patience = PATIENCE_S,
    as_json: Json = False,
) -> None:
    """Give all traffic to the candidate of a rollout or to an arm of a bandit, or make a shadow the candidate."""
    _send(url, route, "promote", as_json, patience, shadow=shadow, arm=arm, why=why)


@errors_printed()
def reset(
    route: RouteName,
    arm: Annotated[str, typer.Argument(metavar="ARM", help="The arm of which everything learned is forgotten.")],
    url: Url = OURS,
    why: Why = "",
    patience: Patience = PATIENCE_S,
    as_json: Json = False,
) -> None:
    """Forget what a bandit has learned of an arm. The weights stay until it learns anew."""
    _send(url, route, "reset", as_json, patience, arm=arm, why=why)


@errors_printed()
def abort(
    route: RouteName,
    arm: Annotated[str | None, typer.Argument(metavar="ARM", help="Optional in a rollout.")] = None,
    url: Url = OURS,
    why: Why = "",
    patience: Patience = PATIENCE_S,
    as_json: Json = False,
) -> None:
    """Take all traffic from an arm, and put its version in quarantine."""
    _send(url, route, "abort", as_json, patience, arm=arm, why=why)


@errors_printed()
def undo(
    route: RouteName,
    to: Annotated[
        int | None, typer.Option("--to", min=1, help="The version to go back to. Without it: the previous one.")
    ] = None,
    url: Url = OURS,
    why: Why = "",
    patience: Patience = PATIENCE_S,
    as_json: Json = False,
) -> None:
    """Go back to an earlier version of the route. If a rollout was running in that version, it is now paused."""
    _send(url, route, "undo", as_json, patience, to=to, why=why)


@errors_printed()
def release(
    route: RouteName,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Such as fraud:18, or 18 if there is one.")],
    url: Url = OURS,
    why: Why = "",
    patience: Patience = PATIENCE_S,
    as_json: Json = False,
) -> None:
    """Release a model version from quarantine. This alone gives it no traffic."""
    _send(url, route, "release", as_json, patience, version=version, why=why)


@errors_printed()
def restore(url: Url = OURS, as_json: Json = False) -> None:
    """Write the routes that the gateway serves back into a store that has lost them."""
    restored = ApiClient(url).restore()
    if as_json:
        print_json(restored)
    elif restored["routes"]:
        say(f"Put back: {', '.join(restored['routes'])}.")
    else:
        say("The store has everything; nothing was put back.")


def _send(url: str, route: str, command: str, as_json: bool, patience_s: float, **body: Any) -> None:
    """Send a command for the current version of the route, and wait until every replica serves the result."""
    client = ApiClient(url)
    seen = client.route(route)["version"]
    made = make_change(
        client,
        lambda change_id: client.command(route, command, body, seen, change_id),
        {route: seen},
        patience_s,
        is_quiet=as_json,
    )
    if made[0].get("why", body["why"]) != body["why"]:  # the gateway has something to add
        say(printable(made[0]["why"]), err=True)
    await_live(client, made, as_json, patience_s=patience_s)


def _parse_weights(pairs: Sequence[str]) -> dict[str, str]:
    weights: dict[str, str] = {}
    for pair in pairs:
        arm, found, share = pair.partition("=")
        if not found or not arm or not share:
            raise ValueError(f"{pair!r} is not of the form ARM=PERCENT, such as canary=20%.")
        if arm in weights:
            raise ValueError(f"Arm {arm} is named twice.")
        weights[arm] = share
    return weights
