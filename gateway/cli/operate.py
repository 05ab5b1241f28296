"""`pointsman apply, get, shift, status, history, models`: what operators do, over the HTTP API."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from gateway.cli.client import Client
from gateway.cli.output import Progress, console, print_json, print_table, sentences

Url = Annotated[str, typer.Option("--url", envvar="POINTSMAN_URL", help="The gateway.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Why = Annotated[str, typer.Option("--why", help="The reason, kept in the history.")]

_DEFAULT_URL = "http://127.0.0.1:8000"
_CONVERGE_S = 60.0  # a dedicated version starts a process first
_POLL_S = 0.05


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (apply, get, shift, status, history, models):
        app.command()(command)


def apply(
    file: Annotated[Path, typer.Option("--file", "-f", help="A YAML file with one route, or several after ---.")],
    url: Url = _DEFAULT_URL,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Declare routes from a YAML file."""
    with sentences():
        client = Client(url)
        try:
            declared = [document for document in yaml.safe_load_all(file.read_text()) if document is not None]
        except yaml.YAMLError as error:
            raise ValueError(f"{file} is not YAML: {error}") from error
        for spec in declared:
            if not isinstance(spec, dict) or "route" not in spec:
                raise ValueError(f"{file} holds something that is not a route; each needs the key route.")
        changed = [client.apply(spec, client.version(str(spec["route"])), why) for spec in declared]
        _await_all(client, changed, as_json)


def get(
    route: Annotated[str | None, typer.Argument(help="One route; all of them if left out.")] = None,
    url: Url = _DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Show what is declared, as `apply` reads it."""
    with sentences():
        client = Client(url)
        found = client.routes() if route is None else [client.route(route)]
        if as_json:
            print_json(found if route is None else found[0])
        else:
            typer.echo(yaml.safe_dump_all([each["spec"] for each in found], sort_keys=False), nl=False)


def shift(
    route: Annotated[str, typer.Argument(help="The route.")],
    weights: Annotated[list[str], typer.Argument(metavar="ARM=PERCENT...", help="Such as canary=20.")],
    url: Url = _DEFAULT_URL,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Give arms weights; what is left goes to the others in proportion."""
    with sentences():
        parsed = {}
        for pair in weights:
            arm, found, share = pair.partition("=")
            if not found or not arm or not share:
                raise ValueError(f"{pair!r} is not of the form ARM=PERCENT, such as canary=20.")
            parsed[arm] = share
        client = Client(url)
        _await_all(client, [client.shift(route, parsed, why)], as_json)


def status(url: Url = _DEFAULT_URL, as_json: Json = False) -> None:
    """Show the wanted version of each route and what every replica has applied."""
    with sentences():
        now = Client(url).status()
        if as_json:
            print_json(now)
            return
        print_table(
            ["ROUTE", "VERSION", "SPLIT", "LIVE ON ALL"],
            [
                (route["route"], route["version"], _split(route), "yes" if route["converged"] else "no")
                for route in now["routes"]
            ],
        )
        console.print()
        print_table(
            ["REPLICA", "PID", "STATE", "AGE", "UP", "SNAPSHOT", "APPLIED", "PROBLEMS"],
            [
                (
                    replica["replica"],
                    replica["pid"],
                    replica["state"],
                    f"{replica['age_s']:.1f}s",
                    f"{replica['up_s']:.0f}s",
                    replica["snapshot"],
                    " ".join(f"{name}@{version}" for name, version in replica["routes"].items()),
                    " ".join(replica["problems"].values()),
                )
                for replica in now["replicas"]
            ],
        )


def history(
    route: Annotated[str, typer.Argument(help="The route.")],
    limit: Annotated[int, typer.Option(help="How many versions.")] = 20,
    url: Url = _DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Show who changed a route, when, what and why; the newest first."""
    with sentences():
        entries = Client(url).history(route, limit)
        if as_json:
            print_json(entries)
            return
        print_table(
            ["VERSION", "WHEN (UTC)", "WHO", "WHAT", "SPLIT", "WHY"],
            [
                (
                    entry["version"],
                    datetime.fromtimestamp(entry["at_s"], UTC).strftime("%Y-%m-%d %H:%M:%S"),
                    entry["who"],
                    entry["what"],
                    _split(entry),
                    entry["why"],
                )
                for entry in entries
            ],
        )


def models(url: Url = _DEFAULT_URL, as_json: Json = False) -> None:
    """Show the model versions that a replica holds, and why one is quarantined."""
    with sentences():
        held = Client(url).models()
        if as_json:
            print_json(held)
            return
        print_table(
            ["MODEL", "VERSION", "STATE", "SHA256", "REASON"],
            [(each["model"], each["version"], each["state"], each["digest"][:12], each["reason"]) for each in held],
        )


def _split(route: dict[str, Any]) -> str:
    return " ".join(f"{arm}={share}" for arm, share in route["spec"]["split"].items())


def _await_all(client: Client, changed: list[dict[str, Any]], as_json: bool) -> None:
    """Waits until every live replica serves the changes, and says so."""
    progress = Progress()
    began_s = time.monotonic()
    wanted = {entry["route"]: entry["version"] for entry in changed}
    live = _applied(client, wanted)
    while not all(live.values()) and time.monotonic() - began_s < _CONVERGE_S:
        if time.monotonic() - began_s > 2 and not as_json:
            progress.step("waiting for every replica")
        time.sleep(_POLL_S)
        live = _applied(client, wanted)
    took_s = time.monotonic() - began_s
    if as_json:
        print_json([{**entry, "live_on": live, "took_s": round(took_s, 3)} for entry in changed])
    for entry in changed if not as_json else ():
        typer.echo(
            f"{entry['route']} is at version {entry['version']} ({_split(entry)}), "
            f"live on {sum(live.values())} of {len(live)} replicas after {took_s:.2f} s"
        )
    if not all(live.values()):
        raise ValueError("Not every replica serves the change yet; `pointsman status` shows which, and why.")


def _applied(client: Client, wanted: dict[str, int]) -> dict[str, bool]:
    """Live replica -> whether it serves at least the wanted version of every route."""
    return {
        replica["replica"]: all(replica["routes"].get(name, 0) >= version for name, version in wanted.items())
        for replica in client.status()["replicas"]
        if replica["state"] == "LIVE"
    }
