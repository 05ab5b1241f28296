"""Compares the decisions of a route with those that its slot tables give.

A decision without a unit is drawn by its own id, so all of it is computed: arm, reason, propensity. The log has a hash
of a unit, made with a secret, and not the unit itself. So of decisions for units two things are checked: that the
propensity is the weight of the arm, and that a unit has one arm as long as the slots stay.
"""

from collections.abc import Callable, Sequence

from analysis.replay.report import Difference, Replayed
from analysis.replay.tables import DrawnRow, InForce, Lacking, SlotTables
from analysis.route_log import RouteLog
from router.draw.assignment import BUCKETS
from router.plan import plan
from router.snapshot import Route

Progress = Callable[[str, int, int], None]
"""Is told what is done, how much of it, and of how much."""

_BATCH = 5000
_COLUMNS = "policy_version, policy_number, arm, reason, propensity, document_id, context"
_COUNT = "SELECT count(*) FROM drawn WHERE unit_hash IS NULL"
_WITHOUT_UNIT = f"SELECT decision_id, {_COLUMNS} FROM drawn WHERE unit_hash IS NULL"  # noqa: S608
_FOR_UNITS = f"""
SELECT min(decision_id), {_COLUMNS}, count(*) FROM drawn WHERE unit_hash IS NOT NULL GROUP BY ALL
"""  # noqa: S608
_UNITS = """
CREATE OR REPLACE TABLE units AS
SELECT unit_hash, policy_version, policy_number, min(arm) AS one, max(arm) AS other
FROM drawn WHERE unit_hash IS NOT NULL GROUP BY unit_hash, policy_version, policy_number, document_id
"""
_MOVED = "SELECT unit_hash, policy_version, policy_number, one, other FROM units WHERE one <> other"


def replay_decisions(opened: RouteLog, route: str, tables: SlotTables, found: Replayed, progress: Progress) -> None:
    """Add what the table `drawn` has of a route to what was found."""
    connection = opened.connection
    ((total,),) = connection.execute(_COUNT).fetchall()
    rows, done = opened.cursor().execute(_WITHOUT_UNIT), 0  # a cursor: tables are read meanwhile
    while batch := rows.fetchmany(_BATCH):
        for each in batch:
            _check(route, tables, DrawnRow._make(each), found, of_unit=False)
        done += len(batch)
        progress(f"decisions of {route}", done, total)
    for *alike, count in connection.execute(_FOR_UNITS).fetchall():
        _check(route, tables, DrawnRow._make(alike), found, of_unit=True, count=count)
    connection.execute(_UNITS)
    ((units,),) = connection.execute("SELECT count(*) FROM units").fetchall()
    found.units += units
    moved = connection.execute(_MOVED)
    while batch := moved.fetchmany(_BATCH):
        for unit, version, number, one, other in batch:
            found.add(Difference(route, version, number, unit, "arms of a unit", f"{one} and {other}", "one arm"))


def _check(route: str, tables: SlotTables, row: DrawnRow, found: Replayed, *, of_unit: bool, count: int = 1) -> None:
    """Compare a decision, or `count` decisions for units that are alike, with what it was drawn from."""
    routes = tables.routes(row)
    if isinstance(routes, Lacking):
        found.gaps[routes.sentence] += count
        return
    if of_unit:
        found.by_propensity += count
    else:
        found.decisions += count
    logged = {"arm": row.arm, "reason": row.reason, "propensity": row.propensity}
    computed = [_computed(each, row, of_unit=of_unit) for each in routes]
    if logged in computed:
        return
    what, value = next((name, value) for name, value in computed[0].items() if value != logged[name])
    version, number = row.policy_version, row.policy_number
    found.add(Difference(route, version, number, row.decision_id, what, repr(logged[what]), repr(value)), count)


def _computed(in_force: InForce, row: DrawnRow, *, of_unit: bool) -> dict[str, object]:
    """Return the arm, the reason and the propensity. For a unit, arm and reason are those of the log."""
    route, slots = in_force.route, in_force.slots(row.context)
    if of_unit:
        arm, reason = row.arm, row.reason
    else:
        planned = plan(route, row.decision_id, slots=slots)
        arm, reason = route.arms[planned.primary].name, planned.reason.value
    return {"arm": arm, "reason": reason, "propensity": _propensity(route, arm, slots)}


def _propensity(route: Route, name: str, slots: Sequence[int] | None) -> float | None:
    """Return the probability of an arm; None if the route has no such arm."""
    for place, arm in enumerate(route.arms):
        if arm.name == name:
            return arm.propensity if slots is None else slots[place] / BUCKETS
    return None
