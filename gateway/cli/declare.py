"""`pointsman apply, diff, get`: compare what files declare with what the gateway has stored, and store it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.change import make_change
from gateway.cli.client import ApiClient
from gateway.cli.options import OURS, Json, Patience, Url, Why
from gateway.cli.output import errors_printed, print_json, say
from gateway.cli.printable import printable, printable_lines
from gateway.cli.wait import PATIENCE_S, await_live

Files = Annotated[
    list[Path],
    typer.Option(
        "--file",
        "-f",
        metavar="PATH",
        help="A YAML file with one route, or several separated by ---, or a folder of files. Repeatable.",
    ),
]


@errors_printed()
def apply(file: Files, url: Url = OURS, why: Why = "", patience: Patience = PATIENCE_S, as_json: Json = False) -> None:
    """Declare all routes of the files and folders, or none of them. A route that has not changed stays as it is."""
    from gateway.cli.compare import Comparison  # PyYAML and the parser of specs are slow to import
    from gateway.cli.route_files import read_declared

    declared = read_declared(*file)
    client = ApiClient(url)
    compared = [Comparison(each, client.find(each.spec.route)) for each in declared]
    changes = [{"spec": each.wanted, "expected": each.version} for each in compared if each.differs]
    seen = {each.route: each.version for each in compared if each.differs}
    made = {}
    if changes:
        changed = make_change(
            client, lambda change_id: client.apply(changes, why, change_id), seen, patience, is_quiet=as_json
        )
        made = {entry["route"]: entry for entry in changed}
    entries: list[dict[str, Any]] = []
    outcomes: dict[str, str] = {}
    for each in compared:
        entry = made.get(each.route, each.stored)
        assert entry is not None  # noqa: S101  # for the type checker: a route that was not stored differs, so it was made
        notes = each.notes_of(entry)
        entries.append({**entry, "notes": notes})
        for note in notes if not as_json else ():
            say(printable(note), err=True)
        is_changed = entry["version"] != each.version
        outcomes[each.route] = "unchanged" if not is_changed else "created" if each.stored is None else "changed"
    await_live(client, entries, as_json, outcomes, patience)


@errors_printed(exit_code=2)
def diff(file: Files, url: Url = OURS, as_json: Json = False) -> None:
    """Show what `apply` would change. Exit code 0: nothing; 1: something; 2: the comparison failed."""
    from gateway.cli.compare import Comparison
    from gateway.cli.route_files import read_declared

    declared = read_declared(*file)
    stored = {route["route"]: route for route in ApiClient(url).routes()}
    compared = [Comparison(each, stored.get(each.spec.route)) for each in declared]
    undeclared = sorted(stored.keys() - {each.route for each in compared})
    if as_json:
        print_json({"routes": [each.to_json() for each in compared], "undeclared": undeclared})
    else:
        for each in compared:
            typer.echo(printable_lines(each.diff), nl=False)
            for note in each.notes:
                say(printable(note), err=True)
        if undeclared and any(path.is_dir() for path in file):
            places = ", ".join(map(str, file))
            say(f"Stored, but not declared in {places}: {', '.join(undeclared)}.", err=True)
    if any(each.differs for each in compared):
        raise typer.Exit(1)


@errors_printed()
def get(
    route: Annotated[str | None, typer.Argument(help="One route. Without it: all routes.")] = None,
    url: Url = OURS,
    as_json: Json = False,
) -> None:
    """Show the declared routes in the format that `apply` reads."""
    from gateway.cli.compare import to_yaml

    client = ApiClient(url)
    found = client.routes() if route is None else [client.route(route)]
    if as_json:
        print_json(found if route is None else found[0])
    else:
        typer.echo(to_yaml([each["spec"] for each in found]), nl=False)
