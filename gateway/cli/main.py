"""The entry point: `pointsman COMMAND`. It registers every command."""

import typer

from gateway.cli import commands, declare, demo, keys, log, models, reward, show
from gateway.cli.doctor.command import doctor
from gateway.cli.drain import drain
from gateway.cli.output import escape_what_cannot_be_printed
from gateway.cli.replay import replay
from gateway.cli.reward_import import import_file
from gateway.cli.serve import serve
from gateway.cli.simulate import simulate

app = typer.Typer(
    name="pointsman",
    help="Serve models, split traffic between their versions, and keep a log of every decision.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for _command in (
    serve, drain,
    declare.apply, declare.diff, declare.get,
    commands.shift, commands.start, commands.pause, commands.resume, commands.promote, commands.reset,
    commands.abort, commands.undo, commands.release, commands.restore,
    show.status, show.history, replay, simulate, doctor,
):  # fmt: skip
    app.command()(_command)
app.add_typer(demo.app, name="demo")
app.add_typer(models.app, name="models")
app.add_typer(log.app, name="log")
app.add_typer(keys.app, name="keys")
reward.app.command("import")(import_file)
app.add_typer(reward.app, name="reward")


def main() -> None:
    """Run the command line."""
    escape_what_cannot_be_printed()
    app()
