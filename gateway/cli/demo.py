"""`pointsman demo`: train the demo's models, declare its routes, and serve them."""

from typing import Annotated

import typer

from gateway.cli.demo_bandit.command import bandit
from gateway.cli.output import Progress, errors_printed
from gateway.cli.serve import WithParent, end_with_parent
from gateway.cli.settings_flags import Engine, GrpcPort, Home, Host, Port, Replicas, read_settings

app = typer.Typer()
app.command()(bandit)


@app.callback(invoke_without_command=True)
@errors_printed()
def demo(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    grpc_port: GrpcPort = None,
    engine: Engine = None,
    replicas: Replicas = None,
    home: Home = None,
    with_parent: WithParent = False,
    prepare: Annotated[bool, typer.Option("--prepare", help="Train and declare only; do not serve.")] = False,
) -> None:
    """Train the demo models, declare the demo routes, and serve them; or send a crowd to the demo's bandit."""
    if context.invoked_subcommand is not None:
        return
    from gateway.access.private_home import make_home  # slow to import, as all code of the server is
    from gateway.cli.demo_home import prepare_home
    from gateway.cli.foreground import run

    settings = read_settings(host=host, port=port, grpc_port=grpc_port, engine=engine, replicas=replicas, home=home)
    if with_parent:
        end_with_parent()
    make_home(settings.home)
    progress = Progress()
    prepare_home(settings, progress)
    if not prepare:
        run(settings, progress, ("pointsman shift cancer canary=20{option}", "move traffic"))
