"""Computes the decisions and the learned policies of a log again, and says what differs."""

from pathlib import Path

from analysis.replay.decisions import Progress, replay_decisions
from analysis.replay.drawn import create_drawn
from analysis.replay.policies import replay_policies
from analysis.replay.report import Replayed
from analysis.replay.tables import SlotTables
from analysis.route_log import open_route_log
from inference_log.files import LogFiles


def replay_log(
    files: LogFiles, spool: Path, progress: Progress, *, route: str | None = None, since_us: int = 0
) -> Replayed:
    """Return what a replay finds of a route, or of all, since a time (microseconds since the epoch).

    Raises:
        AnalysisRefused: the log has nothing of the route.
    """
    found = Replayed()
    with open_route_log(files, spool) as opened:
        connection = opened.connection
        for name in opened.routes if route is None else [route]:
            opened.choose(name)
            create_drawn(connection, since_us)
            tables = SlotTables(connection, name)
            replay_policies(opened, name, tables, since_us, found, progress)
            replay_decisions(opened, name, tables, found, progress)
    return found
