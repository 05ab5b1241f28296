"""Runs the gateway in the foreground: `pointsman serve` and `pointsman demo`."""

import os
import socket
from collections.abc import Callable

import typer

from gateway.access.browser import browser_policy
from gateway.access.open import open_access
from gateway.access.private_home import make_home
from gateway.access.tls import load_tls
from gateway.cli.address import find_url
from gateway.cli.free_port import await_free_port
from gateway.cli.output import Progress
from gateway.cli.own_address import remove_address, url_of, write_address
from gateway.replica import ray_environment
from gateway.settings import Settings
from inference_log.s3.place import check_setting as check_log
from registry_sync.open import check_setting

_SERVE = ("pointsman apply -f FILE{option}", "declare the route of a file")


def run(settings: Settings, progress: Progress, example: tuple[str, str] = _SERVE) -> None:
    """Run the replicas until the process ends. `example` is a command to show, with `{option}`, and what it does."""
    browser_policy(settings, socket.gethostname())
    open_access(settings)  # reports a wrong setting here, at the terminal, and not in a replica's log
    load_tls(settings)
    check_setting(settings.registry)
    check_log(settings.log)
    for port in filter(None, (settings.port, settings.grpc_port)):
        await_free_port(settings.host, port, progress)

    def on_ready() -> None:
        progress.done()
        write_address(settings)
        typer.echo(_welcome(settings, example), err=True)

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


def _welcome(settings: Settings, example: tuple[str, str] = _SERVE) -> str:
    url = url_of(settings)
    # A command in this environment finds a gateway of another home only if it is named.
    option = "" if find_url(os.environ.get("POINTSMAN_URL", "")) == url else f" --url {url}"
    grpc = f"gRPC on port {settings.grpc_port}; " if settings.grpc_port else ""
    width = len(option) + 39
    return f"""
Pointsman serves at {url}  ({grpc}state in {settings.home}; Ctrl-C stops everything)

  {f"pointsman status{option}":<{width}}what each replica serves
  {example[0].format(option=option):<{width}}{example[1]}
  pointsman log query "FROM inferences SELECT route, arm, count(*) GROUP BY ALL"
  {f"{url}/docs":<{width}}the operators' API
"""
