"""`pointsman shift, start, pause, resume, promote, abort, undo, release, restore`: commands, over the HTTP API.

Each names the version that it has just read: of two operators at once, one is told that the other was quicker.
"""

from typing import Annotated, Any

import typer

from gateway.cli.client import ApiClient
from gateway.cli.options import DEFAULT_URL, Json, RouteName, Url, Why
from gateway.cli.output import print_json, sentences
from gateway.cli.wait import await_live


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (shift, start, pause, resume, promote, abort, undo, release, restore):
        app.command()(command)


def shift(
    route: RouteName,
    weights: Annotated[list[str], typer.Argument(metavar="ARM=PERCENT", help="Such as canary=20.")],
    url: Url = DEFAULT_URL,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Give arms weights; what is left goes to the others in proportion. Pauses a rollout."""
    with sentences():
        parsed = {}
        for pair in weights:
            arm, found, share = pair.partition("=")
            if not found or not arm or not share:
                raise ValueError(f"{pair!r} is not of the form ARM=PERCENT, such as canary=20.")
            if arm in parsed:
                raise ValueError(f"Arm {arm} is named twice.")
            parsed[arm] = share
        _command(url, route, "shift", {"weights": parsed, "why": why}, as_json)


def start(route: RouteName, url: Url = DEFAULT_URL, why: Why = "", as_json: Json = False) -> None:
    """Begin the rollout, with the version that its arm is bound to now."""
    with sentences():
        _command(url, route, "start", {"why": why}, as_json)


def pause(route: RouteName, url: Url = DEFAULT_URL, why: Why = "", as_json: Json = False) -> None:
    """Keep the weights of a rollout as they are. Its guardrails go on watching."""
    with sentences():
        _command(url, route, "pause", {"why": why}, as_json)


def resume(route: RouteName, url: Url = DEFAULT_URL, why: Why = "", as_json: Json = False) -> None:
    """Begin a rollout's step anew after a pause, or approve the next one."""
    with sentences():
        _command(url, route, "resume", {"why": why}, as_json)


def promote(
    route: RouteName,
    shadow: Annotated[
        str | None, typer.Option("--shadow", help="Begin the rollout of this shadow's version instead.")
    ] = None,
    url: Url = DEFAULT_URL,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Give the candidate of a rollout all the traffic; or make a shadow the candidate."""
    with sentences():
        _command(url, route, "promote", {"shadow": shadow, "why": why}, as_json)


def abort(
    route: RouteName,
    arm: Annotated[str | None, typer.Argument(metavar="ARM", help="In a rollout it may be left out.")] = None,
    url: Url = DEFAULT_URL,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Take all traffic from an arm, and put its version in quarantine."""
    with sentences():
        _command(url, route, "abort", {"arm": arm, "why": why}, as_json)


def undo(
    route: RouteName,
    to: Annotated[
        int | None, typer.Option("--to", min=1, help="The version to go back to; the one before if left out.")
    ] = None,
    url: Url = DEFAULT_URL,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Go back to an earlier version of the route. A rollout that was under way then is paused."""
    with sentences():
        _command(url, route, "undo", {"to": to, "why": why}, as_json)


def release(
    route: RouteName,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Such as 18, where fraud:18 is in quarantine.")],
    url: Url = DEFAULT_URL,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Let a model version out of quarantine. It gets no traffic by that."""
    with sentences():
        _command(url, route, "release", {"version": version, "why": why}, as_json)


def restore(url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Put what the gateway serves back into a store that has lost it."""
    with sentences():
        restored = ApiClient(url).restore()
        if as_json:
            print_json(restored)
        elif restored["routes"]:
            typer.echo(f"Put back: {', '.join(restored['routes'])}.")
        else:
            typer.echo("The store has everything; nothing was put back.")


def _command(url: str, route: str, command: str, body: dict[str, Any], as_json: bool) -> None:
    """Makes a command on the version that is there now, and waits until it is served."""
    client = ApiClient(url)
    seen = client.route(route)["version"]
    await_live(client, [client.command(route, command, body, seen)], as_json)
