"""The line of the log that says which routes have changed."""

import structlog

from gateway.inference.live_table import LiveTable

_log = structlog.get_logger()

_MOST_LOGGED = 20
"""The most routes that a line names."""


def log_swap(before: LiveTable, after: LiveTable) -> None:
    """Log what is new in a table, if the routes or what is wrong with them are others.

    A sentence such as "loading m:1 since 15 s" changes often, so the sentences alone do not count.
    """
    one, other = ((each.snapshot.hash, each.problems.keys(), each.warnings.keys()) for each in (before, after))
    if one == other:
        return
    changed = [each.route for name, each in after.routes.items() if before.snapshot.routes.get(name) is not each.route]
    _log.info(
        "gateway.snapshot.live",
        snapshot=after.snapshot.hash,
        routes=len(after.routes),
        changed=list(map(repr, changed[:_MOST_LOGGED])),
        problems=dict(after.problems),
        warnings=dict(after.warnings),
    )
