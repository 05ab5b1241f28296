"""`pointsman serve`: start the gateway in the foreground."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Annotated

import typer

from gateway.access.private_home import make_home
from gateway.access.tls import load_tls
from gateway.cli.address import find_url, remove_address, url_of, write_address
from gateway.cli.free_port import await_free_port
from gateway.cli.output import Progress, errors_printed
from gateway.cli.settings_flags import Engine, GrpcPort, Home, Host, Port, Replicas, read_settings
from gateway.replica import ray_environment
from gateway.settings import Settings

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
    settings = read_settings(host=host, port=port, grpc_port=grpc_port, engine=engine, replicas=replicas, home=home)
    if with_parent:
        end_with_parent()
    run(settings, Progress())


def run(settings: Settings, progress: Progress) -> None:
    """Run the replicas until the process ends."""
    from gateway.access.browser import browser_policy
    from gateway.access.open import open_access  # takes 0.2 s to import, which only a gateway that starts should pay

    browser_policy(settings, socket.gethostname())
    open_access(settings)  # reports a wrong setting here, at the terminal, and not in a replica's log
    load_tls(settings)
    for port in filter(None, (settings.port, settings.grpc_port)):
        await_free_port(settings.host, port, progress)

    def on_ready() -> None:
        progress.done()
        write_address(settings)
        typer.echo(_welcome(settings), err=True)

    make_home(settings.home)
    try:
        _serve(settings, progress, on_ready)
    finally:
        remove_address(settings)
    progress.done()


def _serve(settings: Settings, progress: Progress, on_ready: Callable[[], None]) -> None:
    if settings.engine == "uvicorn":
        from gateway.replica import uvicorn_engine

        progress.step("starting one replica")
        uvicorn_engine.run(settings, on_ready)
    else:
        progress.step("loading Ray")
        ray_environment.prepare(settings)
        from gateway.replica import ray_engine  # takes seconds to import; the other engine does not need it

        ray_engine.run(settings, progress.step, on_ready)


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


def _welcome(settings: Settings) -> str:
    url = url_of(settings)
    # A command in this environment finds a gateway of another home only if it is named.
    option = "" if find_url(os.environ.get("POINTSMAN_URL", "")) == url else f" --url {url}"
    grpc = f"gRPC on port {settings.grpc_port}; " if settings.grpc_port else ""
    return f"""
Pointsman serves at {url}  ({grpc}state in {settings.home}; Ctrl-C stops everything)

  pointsman status{option}                       what each replica serves
  pointsman shift cancer canary=20{option}       move traffic
  pointsman log query "FROM inferences SELECT route, arm, count(*) GROUP BY ALL"
  {url}/docs             the operators' API
"""
