"""`pointsman status, history, models`: what there is to see."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gateway.cli.client import ApiClient
from gateway.cli.options import DEFAULT_URL, Json, Url
from gateway.cli.output import print_json, print_table, sentences
from gateway.cli.print_status import print_route, print_status
from gateway.cli.wait import phase_of
from router.spoken import spoken_weights


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (status, history, models):
        app.command()(command)


def status(
    route: Annotated[str | None, typer.Option("--route", help="All there is to say of one route.")] = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Show each route's rollout, guardrails and shadows, and what every replica has applied."""
    with sentences():
        now = ApiClient(url).status()
        if route is None:
            print_json(now) if as_json else print_status(now)
            return
        found = next((each for each in now["routes"] if each["route"] == route), None)
        if found is None:
            there = ", ".join(each["route"] for each in now["routes"]) or "none"
            raise ValueError(f"There is no route {route!r}; there are {there}.")
        print_json(found) if as_json else print_route(found, now)


def history(
    route: Annotated[str | None, typer.Argument(help="One route; the changes of all if left out.")] = None,
    limit: Annotated[int, typer.Option(help="How many changes.")] = 20,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Show who changed what, when and why; the newest first. `pointsman` is the gateway itself."""
    with sentences():
        client = ApiClient(url)
        entries = client.audit(limit) if route is None else client.history(route, limit)
        if as_json:
            print_json(entries)
            return
        print_table(
            [*(["ROUTE"] if route is None else []), "VERSION", "WHEN (UTC)", "WHO", "WHAT", "PHASE", "WEIGHTS", "WHY"],
            [[*([entry["route"]] if route is None else []), *_change(entry)] for entry in entries],
        )


def models(url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Show the model versions that a replica holds, and why one is refused."""
    with sentences():
        held = ApiClient(url).models()
        if as_json:
            print_json(held)
            return
        print_table(
            ["MODEL", "VERSION", "STATE", "SHA256", "REASON"],
            [(each["model"], each["version"], each["state"], each["digest"][:12], each["reason"]) for each in held],
        )


def _change(entry: Mapping[str, Any]) -> list[Any]:
    return [
        entry["version"],
        datetime.fromtimestamp(entry["at_s"], UTC).strftime("%Y-%m-%d %H:%M:%S"),
        entry["who"],
        entry["what"],
        phase_of(entry) if "rollout" in entry else entry["phase"],
        spoken_weights(entry["weights"]),
        entry["why"],
    ]
