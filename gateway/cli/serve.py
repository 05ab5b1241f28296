"""`pointsman serve` and `pointsman demo`: start the gateway in the foreground."""

import errno
import os
import signal
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError

from gateway.access.tls import load_tls
from gateway.cli.output import Progress, sentences
from gateway.control.last_known import LastKnownFile
from gateway.replica import ray_environment
from gateway.replica.ports import bind_port
from gateway.settings import Settings
from store.open import open_store

Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="Port that all replicas share.", show_default="8000")]
GrpcPort = Annotated[int | None, typer.Option(help="The same for gRPC; 0 for none.", show_default="8001")]
Engine = Annotated[
    Literal["ray", "uvicorn"] | None,
    typer.Option(help="ray: replicas on Ray Serve; uvicorn: one replica in this process.", show_default="ray"),
]
Replicas = Annotated[int | None, typer.Option(help="How many replicas (engine ray).", show_default="2")]
Home = Annotated[Path | None, typer.Option(help="Where state, models and log live.", show_default="./var")]
WithParent = Annotated[bool, typer.Option("--with-parent", help="End when the process that started this one ends.")]

_PORT_PATIENCE_S = 10.0
_POLL_S = 0.25


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(serve)
    app.command()(demo)


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
    with sentences():
        settings = read_settings(host=host, port=port, grpc_port=grpc_port, engine=engine, replicas=replicas, home=home)
        if with_parent:
            _end_with_parent()
        _run(settings, Progress())


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
    from gateway.cli import demo as demonstration  # scikit-learn's trainers are slow to import

    with sentences():
        settings = read_settings(host=host, port=port, grpc_port=grpc_port, engine=engine, replicas=replicas, home=home)
        if with_parent:
            _end_with_parent()
        progress = Progress()
        demonstration.train(Path(settings.registry), progress.step)
        progress.done()
        store = open_store(settings.store)
        if LastKnownFile(settings.memory, settings.store).load().entries and not store.revision().identity:
            progress.step("the store has lost its routes: `pointsman restore` puts back what is remembered")
            progress.done()
        else:
            demonstration.declare(store)
        store.close()
        if not prepare:
            _run(settings, progress)


def read_settings(**flags: Any) -> Settings:
    """The environment, and over it the flags that were given.

    Raises:
        ValueError: a setting is not allowed; the sentence names it.
    """
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None}).resolved()
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ValueError(f"A setting (flag or POINTSMAN_ variable) is not allowed: {said}.") from error


def _run(settings: Settings, progress: Progress) -> None:
    from gateway.access.open import open_access  # a fifth of a second, which only who serves should wait for

    open_access(settings)  # says now, not in a replica's log, what is missing
    load_tls(settings)
    for port in filter(None, (settings.port, settings.grpc_port)):
        _await_port(settings.host, port, progress)

    def on_ready() -> None:
        progress.done()
        typer.echo(_welcome(settings), err=True)

    if settings.engine == "uvicorn":
        from gateway.replica import uvicorn_engine

        progress.step("starting one replica")
        uvicorn_engine.run(settings, on_ready)
    else:
        progress.step("loading Ray")
        ray_environment.prepare(settings)
        from gateway.replica import ray_engine  # seconds; only where it is needed

        ray_engine.run(settings, progress.step, on_ready)
    progress.done()


def _end_with_parent() -> None:
    """Asks this process to end, as Ctrl-C would, once its parent is gone: for `make`, which may be killed."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="with-parent", daemon=True).start()


def _await_port(host: str, port: int, progress: Progress) -> None:
    """Makes sure that nobody listens on the port, not even somebody who would share it.

    A gateway that was killed leaves replicas that end within seconds: they are waited for.

    Raises:
        OSError: somebody stays.
    """
    until_s = time.monotonic() + _PORT_PATIENCE_S
    waiting = False
    while True:
        try:
            with closing(bind_port(host, port, shared=False)):
                return
        except OSError as error:
            if time.monotonic() > until_s or error.errno != errno.EADDRINUSE:
                raise OSError(
                    f"Port {port} on {host} cannot be had ({error.strerror}): end what listens "
                    "there, or choose another with --port or --grpc-port."
                ) from error
        if not waiting:
            progress.step(f"waiting for port {port}, which somebody holds")
            waiting = True
        time.sleep(_POLL_S)


def _welcome(settings: Settings) -> str:
    url = f"{'http' if settings.tls_certificate is None else 'https'}://{settings.host}:{settings.port}"
    grpc = f"gRPC on port {settings.grpc_port}; " if settings.grpc_port else ""
    return f"""
Pointsman serves at {url}  ({grpc}state in {settings.home}; Ctrl-C stops everything)

  pointsman status                       what each replica serves
  pointsman shift cancer canary=20       move traffic
  pointsman log query "FROM inferences SELECT route, arm, count(*) GROUP BY ALL"
  {url}/docs             the operators' API
"""
