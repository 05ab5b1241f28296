"""`pointsman apply, diff, get`: compare what files declare with what the gateway has stored, and store it."""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
import yaml

from gateway.cli.client import ApiClient
from gateway.cli.options import OURS, Json, Url, Why
from gateway.cli.output import errors_printed, print_json, say
from gateway.cli.printable import printable_lines
from gateway.cli.route_files import Declared, read_declared
from gateway.cli.wait import await_live
from router.spec.parse import parse_spec
from router.spec.unparse import unparse_spec

File = Annotated[
    Path,
    typer.Option("--file", "-f", help="A YAML file with one route, or several separated by ---, or a folder of files."),
]


class _Pair(NamedTuple):
    """A declared route and the stored document of the same name, which is None for a new route."""

    declared: Declared
    stored: dict[str, Any] | None

    @property
    def wanted(self) -> dict[str, Any]:
        return unparse_spec(self.declared.spec)

    @property
    def known(self) -> dict[str, Any] | None:
        return None if self.stored is None else unparse_spec(parse_spec(self.stored["spec"]))

    @property
    def version(self) -> int:
        return 0 if self.stored is None else int(self.stored["version"])

    @property
    def differs(self) -> bool:
        return self.wanted != self.known


@errors_printed()
def apply(file: File, url: Url = OURS, why: Why = "", as_json: Json = False) -> None:
    """Declare all routes of a file or folder, or none of them. Routes that are declared already are not changed."""
    declared = read_declared(file)
    client = ApiClient(url)
    pairs = [_Pair(each, client.find(each.spec.route)) for each in declared]
    changes = [{"spec": pair.wanted, "expected": pair.version} for pair in pairs if pair.differs]
    made = {entry["route"]: entry for entry in client.apply(changes, why)} if changes else {}
    entries, outcomes = [], {}
    for pair in pairs:
        route = pair.declared.spec.route
        entry = made.get(route, pair.stored)
        assert entry is not None  # noqa: S101  # for the type checker: a route that was not stored differs, so it was made
        entries.append(entry)
        outcomes[route] = "unchanged" if not pair.differs else "created" if pair.stored is None else "changed"
    await_live(client, entries, as_json, outcomes)


@errors_printed(exit_code=2)
def diff(file: File, url: Url = OURS, as_json: Json = False) -> None:
    """Show what `apply` would change. Exit code 0: nothing; 1: something; 2: the comparison failed."""
    declared = read_declared(file)
    stored = {route["route"]: route for route in ApiClient(url).routes()}
    pairs = [_Pair(each, stored.get(each.spec.route)) for each in declared]
    undeclared = sorted(stored.keys() - {each.spec.route for each in declared})
    if as_json:
        print_json({"routes": [_compared(pair) for pair in pairs], "undeclared": undeclared})
    else:
        for pair in pairs:
            typer.echo(printable_lines("".join(_lines(pair))), nl=False)
        if undeclared and file.is_dir():
            say(f"Stored, but not declared in {file}: {', '.join(undeclared)}.", err=True)
    if any(pair.differs for pair in pairs):
        raise typer.Exit(1)


@errors_printed()
def get(
    route: Annotated[str | None, typer.Argument(help="One route. Without it: all routes.")] = None,
    url: Url = OURS,
    as_json: Json = False,
) -> None:
    """Show the declared routes in the format that `apply` reads."""
    client = ApiClient(url)
    found = client.routes() if route is None else [client.route(route)]
    if as_json:
        print_json(found if route is None else found[0])
    else:
        typer.echo(yaml.safe_dump_all([each["spec"] for each in found], sort_keys=False), nl=False)


def _compared(pair: _Pair) -> dict[str, Any]:
    return {
        "route": pair.declared.spec.route,
        "file": str(pair.declared.path),
        "version": pair.version or None,
        "differs": pair.differs,
        "diff": "".join(_lines(pair)),
    }


def _lines(pair: _Pair) -> Iterator[str]:
    """Return the unified diff from the stored route to the declared one."""
    route = pair.declared.spec.route
    stored = f"{route} (version {pair.version})" if pair.version else "/dev/null"
    return difflib.unified_diff(_yaml(pair.known), _yaml(pair.wanted), stored, f"{route} ({pair.declared.path})")


def _yaml(spec: dict[str, Any] | None) -> list[str]:
    parts: Iterable[str] = () if spec is None else yaml.safe_dump(spec, sort_keys=False).splitlines(keepends=True)
    return list(parts)
