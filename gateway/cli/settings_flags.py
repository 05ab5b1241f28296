"""The command-line flags that override settings, and the function that combines them with the environment."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:  # slow to import, and not needed to show the help
    from gateway.settings import Settings

Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="HTTP port. All replicas share it.", show_default="8000")]
GrpcPort = Annotated[int | None, typer.Option(help="gRPC port; 0 for none.", show_default="8001")]
Engine = Annotated[
    Literal["ray", "uvicorn"] | None,
    typer.Option(help="ray: replicas on Ray Serve; uvicorn: one replica in this process.", show_default="ray"),
]
Replicas = Annotated[int | None, typer.Option(help="Number of replicas (engine ray).", show_default="2")]
Home = Annotated[Path | None, typer.Option(help="Folder of the state, the models and the log.", show_default="./var")]


def read_settings(**flags: Any) -> "Settings":
    """Read the settings from the environment. A flag that is not None overrides it.

    Raises:
        ValueError: a setting is not allowed. The sentence names it.
    """
    from pydantic import ValidationError

    from gateway.settings import Settings

    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None}).resolved()
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ValueError(f"A setting (flag or POINTSMAN_ variable) is not allowed: {faults}.") from error
