"""Computes the decisions and the learned policies of a log again, and says what differs."""

from pathlib import Path

from analysis.errors import AnalysisRefused
from analysis.replay.decisions import Progress, replay_decisions
from analysis.replay.log import open_replay_log
from analysis.replay.policies import replay_policies
from analysis.replay.report import Replayed
from analysis.replay.tables import SlotTables


def replay_log(log: Path, spool: Path, progress: Progress, *, route: str | None = None, since_us: int = 0) -> Replayed:
    """Return what a replay finds of a route, or of all, since a time (microseconds since the epoch).

    Raises:
        AnalysisRefused: the log has nothing of the route.
    """
    found = Replayed()
    with open_replay_log(log, spool) as opened:
        routes = opened.routes
        if route is not None and route not in routes:
            there = f"it has {', '.join(routes)}" if routes else "it is empty"
            raise AnalysisRefused(f"The log has no decisions of route {route}; {there}.")
        for name in routes if route is None else [route]:
            opened.choose(name, since_us)
            tables = SlotTables(opened.connection, name)
            replay_policies(opened.connection, name, tables, since_us, found, progress)
            replay_decisions(opened.connection, name, tables, found, progress)
    return found
