"""`pointsman serve`: start the gateway in the foreground."""

import os
import signal
import threading
import time
from typing import Annotated

import typer

from gateway.cli.output import Progress, errors_printed
from gateway.cli.settings_flags import Engine, GrpcPort, Home, Host, Port, Replicas, read_settings

WithParent = Annotated[bool, typer.Option("--with-parent", help="End when the process that started this one ends.")]

_PARENT_POLL_S = 0.25


@errors_printed()
def serve(
    host: Host = None,
    port: Port = None,
    grpc_port: GrpcPort = None,
    engine: Engine = None,
    replicas: Replicas = None,
    home: Home = None,
    with_parent: WithParent = False,
) -> None:
    """Start the gateway in the foreground. Ctrl-C stops everything.

    Every flag, and more, can be set in the environment with the prefix POINTSMAN_, such as POINTSMAN_PORT.
    """
    from gateway.cli.foreground import run  # slow to import, as all code of the server is

    settings = read_settings(host=host, port=port, grpc_port=grpc_port, engine=engine, replicas=replicas, home=home)
    if with_parent:
        end_with_parent()
    run(settings, Progress())


def end_with_parent() -> None:
    """End this process, as Ctrl-C would, when its parent has ended.

    `make` starts the gateway and may be killed. A background thread checks the parent four times a second.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_POLL_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="with-parent", daemon=True).start()
