"""The entry point: `pointsman COMMAND`. Gathers the groups of commands."""

import typer

from gateway.cli import commands, declare, keys, log
from gateway.cli import serve as serving
from gateway.cli import show as look

app = typer.Typer(
    name="pointsman",
    help="Serve models, split traffic between their versions, and keep a log of every decision.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
serving.register(app)
declare.register(app)
commands.register(app)
look.register(app)
app.add_typer(log.app, name="log")
app.add_typer(keys.app, name="keys")


def main() -> None:
    """Runs the command line."""
    app()
