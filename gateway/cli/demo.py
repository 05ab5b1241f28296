"""`pointsman demo`: train the demo's models, declare its routes, and serve them."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.access.private_home import make_home
from gateway.cli.output import Progress, errors_printed
from gateway.cli.serve import WithParent, end_with_parent, run
from gateway.cli.settings_flags import Engine, GrpcPort, Home, Host, Port, Replicas, read_settings
from gateway.control.last_known import LastKnownFile
from gateway.settings import Settings
from store.open import open_store


@errors_printed()
def demo(
    host: Host = None,
    port: Port = None,
    grpc_port: GrpcPort = None,
    engine: Engine = None,
    replicas: Replicas = None,
    home: Home = None,
    with_parent: WithParent = False,
    prepare: Annotated[bool, typer.Option("--prepare", help="Train and declare only; do not serve.")] = False,
) -> None:
    """Train the demo models, declare the demo routes, and serve them."""
    settings = read_settings(host=host, port=port, grpc_port=grpc_port, engine=engine, replicas=replicas, home=home)
    if with_parent:
        end_with_parent()
    make_home(settings.home)
    progress = Progress()
    _prepare(settings, progress)
    if not prepare:
        run(settings, progress)


def _prepare(settings: Settings, progress: Progress) -> None:
    from gateway.cli import demo_models  # scikit-learn's estimators are slow to import

    demo_models.train(Path(settings.registry), progress.step)
    progress.done()
    store = open_store(settings.store)
    if LastKnownFile(settings.last_known_file, settings.store).load().entries and not store.revision().identity:
        # Declaring would give the empty store an identity: the gateway would accept it and lose what it remembers.
        progress.step("the store has lost its routes: `pointsman restore` puts back what is remembered")
        progress.done()
    else:
        demo_models.declare(store)
    store.close()
