"""`pointsman reward TOKEN METRIC VALUE`: reports what happened after a decision."""

from typing import Annotated, Any

import orjson
import typer
from typer.core import TyperGroup

from gateway.cli.api_error import ApiError
from gateway.cli.client import ApiClient
from gateway.cli.options import OURS, Json, Url
from gateway.cli.output import errors_printed, print_json, say

_SEND = "send"


class _SendUnlessNamed(TyperGroup):
    """A group whose command `send` need not be named: no token is the name of another command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the command before its arguments."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [_SEND, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_SendUnlessNamed,
    no_args_is_help=True,
    help="Report what happened after a decision: `pointsman reward TOKEN METRIC VALUE`.",
)


@app.command(_SEND)
@errors_printed()
def send(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="What came with the prediction as x-decision-token.")],
    metric: Annotated[str, typer.Argument(metavar="METRIC", help="A metric that the route declares.")],
    value: Annotated[str | None, typer.Argument(metavar="VALUE", help="A number, or with --label a label.")] = None,
    event: Annotated[str, typer.Option("--event", help="The event's id. Without it the decision has one event.")] = "",
    op: Annotated[str, typer.Option("--op", help="add, set (another value) or retract (it did not happen).")] = "add",
    is_label: Annotated[bool, typer.Option("--label", help="VALUE is the class or the number that was true.")] = False,
    url: Url = OURS,
    as_json: Json = False,
) -> None:
    """Report what happened after a decision. It may be repeated: an event of a decision counts once."""
    reward: dict[str, Any] = {"decision": token, "metric": metric, "op": op}
    if event:
        reward["event"] = event
    if value is not None:
        reward["label" if is_label else "value"] = _label(value) if is_label else _number(value)
    (result,) = ApiClient(url).reward([reward])
    if as_json:
        print_json(result)
    elif result["result"] != "refused":
        say(f"{result['result']}.".capitalize())
    if result["result"] == "refused":
        if as_json:
            raise typer.Exit(1)
        raise ApiError(result["error"])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number; a label is sent with --label.") from None


def _label(text: str) -> str | int | float:
    """Return a number if the text is how JSON writes one, such as 7, or else the text, such as 007."""
    try:
        number = orjson.loads(text)
    except ValueError:
        return text
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    return number if is_number and orjson.dumps(number) == text.encode() else text
