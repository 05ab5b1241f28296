"""Options and arguments that most commands take."""

from typing import Annotated

import typer

OURS = ""
"""Stands for the gateway that was started from this home; see `gateway.cli.address`."""

Url = Annotated[
    str,
    typer.Option(
        "--url",
        envvar="POINTSMAN_URL",
        help="The URL of the gateway.",
        show_default="of the gateway started from POINTSMAN_HOME, else http://127.0.0.1:8000",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Why = Annotated[str, typer.Option("--why", help="The reason, kept in the history.")]
Patience = Annotated[
    float,
    typer.Option(
        "--patience", min=0, help="Seconds to wait until every replica serves the change; exit code 3 if it does not."
    ),
]
RouteName = Annotated[str, typer.Argument(metavar="ROUTE", help="The route.")]
