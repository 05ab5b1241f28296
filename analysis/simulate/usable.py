"""Which logged decisions may be used for a simulation: the table `usable`, beside `labelled` and `metrics`.

Left out are decisions that have not matured, that failed (no bandit learns from them), of policy versions in which
another model version served one of the arms, for which an arm had hardly any weight, and whose context is not known.
Units stay on their arms: if their weights moved, each unit counts once, with its first decision
(`bandits.row_wise_ips`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import duckdb

from analysis.errors import AnalysisRefused
from analysis.off_policy.overlap import LEAST_PROPENSITY
from analysis.route_log import quoted
from analysis.simulate.contexts import DeclaredContext
from bandits.row_wise_ips import LoggedPolicy, check_row_wise_ips
from router.spec.spec import RouteSpec

_DRAWN = "reason IN ('STICKY', 'WEIGHTED', 'EVALUATED') AND propensity IS NOT NULL AND instance_index = 0"
_SERVED = f"""
SELECT DISTINCT policy_version, arm, model_name, model_version FROM inferences
WHERE role = 'primary' AND {_DRAWN} AND event_ts_us >= ?
"""  # noqa: S608  # a constant
_JUDGED = """
CREATE TABLE judged AS
SELECT
    decision_id, event_ts_us, event_ts_us - round(1000 * latency_ms)::BIGINT AS decided_us, arm, propensity, weights,
    value, is_default, unit_hash, policy_version, coalesce(policy_number, 0) AS policy_number,
    least({shares}) AS least, {features} AS features, {numbers} AS numbers, {texts} AS texts,
    CASE
        WHEN NOT matured THEN 'they have not matured'
        WHEN outcome <> 'ok' THEN 'their arm failed'
        WHEN policy_version IN ({others}) THEN 'another version served one of the arms'
        WHEN context IS NOT NULL AND abs(coalesce(weights[arm], 0) - propensity) > 1e-9
            THEN 'the log lacks the weights of their requests'
        WHEN least({shares}) < {least_propensity} THEN 'an arm had a weight of less than {least_share}'
        WHEN ({features}) IS NULL AND NOT ({has_inputs}) THEN {lacking}
        ELSE ''
    END AS why
FROM labelled
WHERE metric = {metric} AND {drawn} AND event_ts_us >= {since_us}
"""
_POLICIES = """
SELECT policy_version, weights, bool_or(unit_hash IS NOT NULL) FROM judged WHERE why = ''
GROUP BY policy_version, policy_number, weights ORDER BY min(event_ts_us)
"""
_LATER = f"""
UPDATE judged SET why = 'their unit was on its arm already' WHERE why = '' AND unit_hash IS NOT NULL
AND decision_id NOT IN (
    SELECT arg_min(decision_id, (event_ts_us, decision_id)) FROM inferences
    WHERE role = 'primary' AND unit_hash IS NOT NULL AND {_DRAWN} GROUP BY unit_hash
)
"""  # noqa: S608  # a constant
_USABLE = "CREATE VIEW usable AS SELECT * FROM judged WHERE why = ''"


@dataclass
class Usable:
    """What may be used. `left_out` counts decisions by why they are not, `notes` are sentences on how the others are.

    Times are seconds since the epoch. With `by_unit`, several decisions belong to a unit.
    """

    decisions: int = 0
    began_s: float = 0.0
    ended_s: float = 0.0
    has_units: bool = False
    by_unit: bool = False
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def create_usable(
    connection: duckdb.DuckDBPyConnection,
    spec: RouteSpec,
    metric: str,
    since_us: int,
    context: DeclaredContext | None = None,
) -> Usable:
    """Make the table for a declared route, of decisions since a time (microseconds since the epoch).

    Raises:
        AnalysisRefused: the log has no such metric, or no decision in which all arms could have been drawn and, with a
            context, the context is known.
    """
    _check_metric(connection, spec.route, metric)
    weights = [f"coalesce(weights[{quoted(arm)}], 0)" for arm in spec.arms]
    features, (numbers, texts, has_inputs) = "NULL::DOUBLE[]", ("NULL::DOUBLE[]", "NULL::VARCHAR[]", "TRUE")
    if context is not None:
        features, (numbers, texts, has_inputs) = context.logged_sql(connection), context.inputs_sql()
    statement = _JUDGED.format(
        features=features,
        numbers=numbers,
        texts=texts,
        has_inputs=has_inputs,
        lacking=quoted(_lacking(context)),
        shares=", ".join(weights),
        others=", ".join(map(str, _other_versions(connection, spec, since_us))) or "NULL",
        least_propensity=LEAST_PROPENSITY,
        least_share=format_share_of(LEAST_PROPENSITY),
        metric=quoted(metric),
        drawn=_DRAWN,
        since_us=since_us,
    )
    connection.execute(statement)
    usable = Usable()
    _decide_on_units(connection, spec, usable)
    counted = connection.execute("SELECT why, count(*) FROM judged GROUP BY why ORDER BY count(*) DESC").fetchall()
    usable.left_out = {why: count for why, count in counted if why}
    usable.decisions = dict(counted).get("", 0)
    if not usable.decisions:
        raise AnalysisRefused(_why_nothing(connection, spec, weights, usable, context))
    connection.execute(_USABLE)
    ends = connection.execute("SELECT min(decided_us), max(decided_us), bool_or(unit_hash IS NOT NULL) FROM usable")
    ((first_us, last_us, usable.has_units),) = ends.fetchall()
    usable.began_s, usable.ended_s = first_us / 1e6, last_us / 1e6
    return usable


def format_share_of(share: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:g}%"


def _check_metric(connection: duckdb.DuckDBPyConnection, route: str, metric: str) -> None:
    sql = "SELECT bool_or(formula IS NOT NULL), bool_or(is_label) FROM metrics WHERE metric = ? HAVING count(*) > 0"
    found = connection.execute(sql, [metric]).fetchone()
    if found is None:
        raise AnalysisRefused(
            f"No version of route {route} in the log declares metric {metric}, so no reward of it is known. Declare it "
            "on the route, report it, and let some decisions mature."
        )
    if any(found):
        raise AnalysisRefused(f"Metric {metric} of route {route} is a formula or a label; name one that is reported.")


def _other_versions(connection: duckdb.DuckDBPyConnection, spec: RouteSpec, since_us: int) -> Sequence[int]:
    """Return the policy versions in which an arm was served by another version than the one that is declared."""
    found = set()
    for policy_version, arm, model, version in connection.execute(_SERVED, [since_us]).fetchall():
        ref = spec.arms.get(arm)
        if ref is not None and (model != ref.model or ref.version not in (None, version)):
            found.add(policy_version)
    return sorted(found)


def _decide_on_units(connection: duckdb.DuckDBPyConnection, spec: RouteSpec, usable: Usable) -> None:
    rows = connection.execute(_POLICIES)
    policies = [LoggedPolicy(*row) for row in rows.fetchall()]
    use = check_row_wise_ips(spec.route, policies)
    if not use.is_allowed:
        connection.execute(_LATER)
        usable.notes.append(
            f"Units of route {spec.route} stay on their arms, and its weights moved: each unit counts once, with its "
            "first decision."
        )
    elif use.sentence:
        usable.by_unit = True
        usable.notes.append(
            f"Units of route {spec.route} stay on their arms: the error is computed by groups of units."
        )


def _lacking(context: DeclaredContext | None) -> str:
    """Return why the context of a decision is not known."""
    names = [] if context is None else context.not_in_rows
    return f"the log has no {' and no '.join(names)} of them" if names else "the log lacks their inputs"


def _why_nothing(
    connection: duckdb.DuckDBPyConnection,
    spec: RouteSpec,
    weights: Sequence[str],
    usable: Usable,
    context: DeclaredContext | None,
) -> str:
    """Return a sentence that says why no decision may be used."""
    if not usable.left_out:
        return f"The log has no decisions of route {spec.route} in this time; take a longer one with --since."
    most = connection.execute(f"SELECT {', '.join(f'max({each})' for each in weights)} FROM judged").fetchone() or ()  # noqa: S608
    lacking = [arm for arm, share in zip(spec.arms, most, strict=True) if share < LEAST_PROPENSITY]
    if lacking:
        return (
            f"The log says nothing of arm {' and arm '.join(lacking)}: it was never drawn with a probability of "
            f"{format_share_of(LEAST_PROPENSITY)} or more. Let route {spec.route} try it first, or leave it out."
        )
    if _lacking(context) in usable.left_out:
        return _how_to_log(spec, context)
    why = "; ".join(f"of {count:,}, {why}" for why, count in usable.left_out.items())
    return f"No decision of route {spec.route} may be used: {why}."


def _how_to_log(spec: RouteSpec, context: DeclaredContext | None) -> str:
    """Return what to do so that the log has the context of decisions."""
    names = [] if context is None else context.not_in_rows or [column.path for column in context.columns]
    return (
        f"The log does not have {', '.join(names)} of these requests. It keeps a context where the route declares it: "
        f"first let route {spec.route} run with this very context, such as with `policy: {{linear-epsilon-greedy: "
        "{epsilon: 1}}`, which draws all arms evenly. Otherwise only values of inputs that the log keeps can be used."
    )
