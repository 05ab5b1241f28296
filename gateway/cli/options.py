"""Options and arguments that most commands take."""

from typing import Annotated

import typer

DEFAULT_URL = "http://127.0.0.1:8000"

Url = Annotated[str, typer.Option("--url", envvar="POINTSMAN_URL", help="The URL of the gateway.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Why = Annotated[str, typer.Option("--why", help="The reason, kept in the history.")]
RouteName = Annotated[str, typer.Argument(metavar="ROUTE", help="The route.")]
