"""`pointsman demo bandit`: the command."""

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import OURS, Url
from gateway.cli.output import errors_printed, say

if TYPE_CHECKING:  # slow to import, and not needed to show the help
    from collections.abc import Callable

    from gateway.cli.demo_bandit.session import Session
    from gateway.cli.demo_bandit.tally import Figures


@errors_printed()
def bandit(
    seconds: Annotated[float | None, typer.Option(min=1, help="End after so long. Without it: at Ctrl-C.")] = None,
    rate: Annotated[float, typer.Option(min=0.1, max=1000, help="People a second.")] = 100,
    seed: Annotated[int, typer.Option(help="Another seed is another crowd, which may like another arm.")] = 1,
    url: Url = OURS,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON a second.")] = False,
) -> None:
    """Send a simulated crowd to the demo's bandit, and watch it learn what the crowd likes.

    The gateway must run: `make up`. Each person gets a decision and clicks or not, a while later. The bandit forgets
    earlier crowds first.
    """
    from rich.console import Console
    from rich.live import Live

    from gateway.cli.client import ApiClient
    from gateway.cli.demo_bandit.anew import begin_anew
    from gateway.cli.demo_bandit.crowd import Crowd, draw_rates
    from gateway.cli.demo_bandit.route import BANNER, REQUEST, WINDOW_S
    from gateway.cli.demo_bandit.session import Bandit, Session
    from gateway.cli.demo_bandit.view import to_line, to_sentence, to_table

    route, client = BANNER["route"], ApiClient(url)
    arms = tuple(begin_anew(client, route)["spec"]["arms"])
    rates = draw_rates(arms, seed)
    crowd = Crowd(rates, seed)
    session = Session(client, Bandit(route, arms, "click", WINDOW_S, REQUEST), crowd, rate)
    if as_json:
        asyncio.run(_run(session, seconds, lambda figures: say(to_line(figures))))
        return
    last: list[Figures] = []
    console = Console(highlight=False, emoji=False)
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def show(figures: "Figures") -> None:
            last[:] = [figures]
            live.update(to_table(figures, rates, route), refresh=console.is_terminal)

        asyncio.run(_run(session, seconds, show))
    console.print(to_table(last[0], rates, route))
    say(to_sentence(last[0], rates))


async def _run(session: "Session", seconds: float | None, show: "Callable[[Figures], None]") -> None:
    """Run until the time is over, or a signal asks for the end."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if seconds is not None:
        loop.call_later(seconds, stop.set)
    await session.run(stop, show)
