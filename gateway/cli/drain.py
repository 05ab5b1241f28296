"""`pointsman drain`: let the replicas of this machine end, for the preStop hook of a pod."""

from typing import Annotated

import typer

from gateway.cli.output import Progress, errors_printed, say
from gateway.cli.settings_flags import Home, read_settings


@errors_printed()
def drain(
    home: Home = None,
    within_s: Annotated[float, typer.Option("--within-s", min=1, help="Stop waiting after this many seconds.")] = 110.0,
) -> None:
    """Let the replicas of this machine end in order, before the machine ends. A pod's preStop hook runs this.

    Readiness fails at once. After LEAVE_WAIT_S seconds, in which requests are still answered, Ray Serve moves the
    replicas to other nodes. The command returns when requests in hand are answered and the log is shipped. Exit code 1
    if something is left.
    """
    from gateway.replica.drain import drain_machine  # slow to import, as all code of the server is

    progress = Progress()
    left = drain_machine(read_settings(home=home), within_s, progress.step)
    progress.done()
    if left:
        say(left)
        raise typer.Exit(1)
