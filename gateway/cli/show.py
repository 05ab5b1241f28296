"""`pointsman status, history`, and `models` without a command: read-only views of the gateway."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gateway.cli.client import ApiClient
from gateway.cli.options import OURS, Json, Url
from gateway.cli.output import errors_printed, format_by_arm, print_json, print_table
from gateway.cli.print_status import print_route, print_status
from gateway.cli.version_state import state_of
from gateway.cli.wait import phase_of


@errors_printed()
def status(
    route: Annotated[str | None, typer.Option("--route", help="Show all details of one route.")] = None,
    url: Url = OURS,
    as_json: Json = False,
) -> None:
    """Show each route's rollout, guardrails and shadows, and what every replica has applied."""
    client = ApiClient(url)
    if route is None:
        now = client.status()
        print_json(now) if as_json else print_status(now)
        return
    now = client.status([route])
    found = next((each for each in now["routes"] if each["route"] == route), None)
    if found is None:
        there = ", ".join(each["route"] for each in client.routes()) or "none"
        raise ValueError(f"There is no route {route!r}; there are {there}.")
    print_json(found) if as_json else print_route(found, now)


@errors_printed()
def history(
    route: Annotated[str | None, typer.Argument(help="One route. Without it: the changes of all routes.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many changes to show.")] = 20,
    url: Url = OURS,
    as_json: Json = False,
) -> None:
    """Show who changed what, when and why, the newest change first. `pointsman` is the gateway itself."""
    client = ApiClient(url)
    entries = client.audit(limit) if route is None else client.history(route, limit)
    if as_json:
        print_json(entries)
        return
    print_table(
        [*(["ROUTE"] if route is None else []), "VERSION", "WHEN (UTC)", "WHO", "WHAT", "PHASE", "WEIGHTS", "WHY"],
        [[*([entry["route"]] if route is None else []), *_change(entry)] for entry in entries],
    )


@errors_printed()
def show_held(url: str, as_json: bool) -> None:
    """Show the model versions that a replica holds or waits for, and why a version is quarantined."""
    held = ApiClient(url).models()
    if as_json:
        print_json(held)
        return
    print_table(
        ["MODEL", "VERSION", "STATE", "SHA256", "REASON"],
        [(each["model"], each["version"], state_of(each), each["digest"][:12], each["reason"]) for each in held],
    )


def _change(entry: Mapping[str, Any]) -> list[Any]:
    return [
        entry["version"],
        datetime.fromtimestamp(entry["at_s"], UTC).strftime("%Y-%m-%d %H:%M:%S"),
        entry["who"],
        entry["what"],
        phase_of(entry) if "rollout" in entry else entry["phase"],
        format_by_arm(entry["weights"]),
        entry["why"],
    ]
