"""`pointsman models`: publish model versions, validate them, and show those that there are."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import OURS, Json, Url
from gateway.cli.output import errors_printed
from gateway.cli.settings_flags import Home
from gateway.cli.show import show_held

app = typer.Typer(
    help="Publish model versions, validate them, and show those that there are.", invoke_without_command=True
)

Reference = Annotated[str, typer.Argument(metavar="MODEL:VERSION", help="Such as fraud:18.")]


@app.callback()
def models(context: typer.Context, url: Url = OURS, as_json: Json = False) -> None:
    """Publish model versions, validate them, and show those that there are.

    Without a command: show the versions that a replica holds, and why a version is quarantined.
    """
    if context.invoked_subcommand is None:
        show_held(url, as_json)
    elif as_json:
        context.default_map = {context.invoked_subcommand: {"as_json": True}}


@app.command()
@errors_printed()
def add(
    reference: Reference,
    source: Annotated[
        Path, typer.Argument(metavar="FILE|FOLDER", help="The model's file, or a folder with all of its files.")
    ],
    alias: Annotated[
        list[str] | None, typer.Option("--alias", help="Let this alias name the version. Repeatable.")
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of model.yaml, such as batch=none. Repeatable."),
    ] = None,
    partial: Annotated[
        Path | None,
        typer.Option("--with", metavar="FILE", help="A partial model.yaml; its tensors are merged by name."),
    ] = None,
    golden: Annotated[
        Path | None, typer.Option(help="Requests with their answers (JSON). Without it, some are made.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="What the version is, for people.")] = None,
    trust: Annotated[
        list[str] | None,
        typer.Option("--trust", metavar="TYPE", help="A Python type that the artifact may hold. Repeatable."),
    ] = None,
    accept_other_versions: Annotated[
        bool, typer.Option("--accept-other-versions", help="Let other versions of its packages load the model.")
    ] = False,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            "--tag", metavar="KEY=VALUE", help="Where it comes from: run_id, data_set, or any other key. Repeatable."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all, write nothing, and print the model.yaml.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Publish a model as a version that routes can name.

    The signature is read out of the model. The model is loaded and tried in a process of its own. Then the version
    appears in the registry (POINTSMAN_REGISTRY; default: models in the home), whole or not at all.
    """
    from gateway.cli.models_add import Request, add_version  # slow to import, as all code of the runtimes is

    add_version(
        Request(
            reference=reference,
            source=source,
            aliases=tuple(alias or ()),
            given=tuple(given or ()),
            partial=partial,
            golden=golden,
            description=description,
            trusted=tuple(trust or ()),
            accepts_other_versions=accept_other_versions,
            tags=tuple(tag or ()),
            is_dry=dry_run,
        ),
        home=home,
        as_json=as_json,
    )


@app.command()
@errors_printed()
def alias(
    reference: Reference,
    name: Annotated[str, typer.Argument(metavar="ALIAS", help="Such as champion.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Let an alias name a version that is there. Routes that follow the alias serve it within seconds."""
    from gateway.cli.models_add import move_alias

    move_alias(reference, name, home=home, as_json=as_json)


@app.command()
@errors_printed()
def validate(
    what: Annotated[
        str,
        typer.Argument(
            metavar="MODEL:VERSION|FOLDER", help="A version of the registry, or a folder with a model.yaml."
        ),
    ],
    logged: Annotated[
        str | None,
        typer.Option(metavar="ROUTE", help="Ask it requests of this route's log again, and compare the answers."),
    ] = None,
    since: Annotated[str, typer.Option(help="With --logged: how far back.")] = "24h",
    requests: Annotated[int, typer.Option(min=1, max=10_000, help="With --logged: how many, drawn at random.")] = 500,
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="With --logged: predictions that differ by no more than this agree.")
    ] = 0.0,
    above: Annotated[
        str | None,
        typer.Option(metavar="PERCENT", help="With --logged: fail if more of the answers differ, such as 5%."),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Check a version as a gateway would before it serves it. No gateway is needed.

    Exit code 0: it can be served; 1: it cannot; 4: there is no such version.
    """
    from gateway.cli.models_validate import LoggedOptions, validate_version

    validate_version(what, LoggedOptions(logged, since, requests, tolerance, above), home=home, as_json=as_json)


@app.command("list")
@errors_printed()
def list_versions(
    model: Annotated[str | None, typer.Argument(help="One model. Without it: all models.")] = None,
    url: Url = OURS,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show the versions of the registry and, if a gateway answers, which of them it holds."""
    from gateway.cli.models_show import show_versions

    show_versions(model, url=url, home=home, as_json=as_json)


@app.command("show")
@errors_printed()
def show_one(
    reference: Annotated[str, typer.Argument(metavar="MODEL:VERSION", help="Such as fraud:18, or fraud@champion.")],
    url: Url = OURS,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show all that is known of a version: its model.yaml, its aliases and, if a gateway answers, its state."""
    from gateway.cli.models_show import show_version

    show_version(reference, url=url, home=home, as_json=as_json)
