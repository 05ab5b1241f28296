"""Computes each learned policy of a route again, from what its content holds.

Estimates, bounds and the weights before give the next weights (`bandits.bounds.next_slots`). The slots move there from
those of the policy before or, if a command has given weights since, from those of the document.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from analysis.replay.decisions import Progress
from analysis.replay.report import Difference, Replayed
from analysis.replay.tables import SlotTables
from analysis.route_log import RouteLog
from bandits.bounds.bounded import bounded
from bandits.bounds.bounds import Bounds
from bandits.bounds.next_slots import next_slots
from bandits.errors import BanditError
from bandits.estimates.estimates import Estimates
from bandits.linear.policy_weights import PolicyWeights
from bandits.policies.choose import choose_policy
from bandits.slots import to_shares
from router.document.learned import LearnedPolicy, policy_from_dict
from router.draw.assignment import BUCKETS
from router.draw.slots import SlotTable, counts, reallocate
from router.errors import Corrupt

_BATCH = 50
_NEEDED = """
CREATE OR REPLACE TABLE needed AS
SELECT declared_us, min(number) - 1 AS least
FROM (
    SELECT declared_us, number FROM policies WHERE learned_ts_us >= {since_us}
    UNION ALL SELECT DISTINCT life, policy_number FROM drawn WHERE policy_number > 0
)
GROUP BY declared_us
"""
_POLICIES = """
FROM policies p JOIN needed n ON n.declared_us = p.declared_us AND p.number >= n.least
"""
_COUNT = f"SELECT count(*) {_POLICIES}"
_IN_ORDER = f"""
SELECT p.learned_ts_us, p.number, p.weights, p.content {_POLICIES} ORDER BY p.declared_us, p.number, p.learned_ts_us
"""


class _Learned(NamedTuple):
    """A policy, and the weights that the log shows for it."""

    policy: LearnedPolicy
    weights: Mapping[str, float]


def replay_policies(
    opened: RouteLog,
    route: str,
    tables: SlotTables,
    since_us: int,
    found: Replayed,
    progress: Progress,
) -> None:
    """Add the policies of a route since a time to what was found, and all that decisions need to `tables`."""
    connection = opened.connection
    connection.execute(_NEEDED.format(since_us=since_us))
    ((total,),) = connection.execute(_COUNT).fetchall()
    rows, done = opened.cursor().execute(_IN_ORDER), 0
    before: list[LearnedPolicy] = []
    same: list[LearnedPolicy] = []
    seen: set[str] = set()  # several machines may have written the same
    while batch := rows.fetchmany(_BATCH):
        for learned_us, number, weights, content in batch:
            learned = _read(route, number, weights, content, found)
            if learned is None:
                continue
            policy = learned.policy
            if same and (policy.declared_us, policy.number) != (same[0].declared_us, same[0].number):
                before, same, seen = same, [], set()
            if content not in seen:
                seen.add(content)
                same.append(policy)
                tables.add(policy)
                if learned_us >= since_us:
                    _check(learned, before, tables, found)
        done += len(batch)
        progress(f"policies of {route}", done, total)


def _read(route: str, number: int, weights: Mapping[str, float], content: str, found: Replayed) -> _Learned | None:
    try:
        return _Learned(policy_from_dict(json.loads(content)), weights)
    except (Corrupt, ValueError) as error:
        found.gaps[f"Policy {number} of route {route} cannot be read: {error}"] += 1
        return None


def _check(learned: _Learned, before: Iterable[LearnedPolicy], tables: SlotTables, found: Replayed) -> None:
    policy = learned.policy
    number, since = policy.number, policy.since_version
    found.policies += 1

    def differs(what: str, logged: object, computed: object) -> None:
        found.add(Difference(policy.route, since, number, f"policy {number}", what, repr(logged), repr(computed)))

    shown = {arm: slots / BUCKETS for arm, slots in counts(policy.slots).items()}
    if dict(learned.weights) != shown:
        differs("weights of the row", dict(learned.weights), shown)
        return
    try:
        slots = recomputed_slots(policy.content)
    except (BanditError, KeyError, TypeError, ValueError) as error:
        differs("content", "a policy's", f"cannot be used: {error!r}")
        return
    if list(slots) != list(counts(policy.slots).values()):
        differs("weights", counts(policy.slots), dict(zip(policy.slots, slots, strict=False)))
        return
    preceding = [each for each in before if each.declared_us == policy.declared_us and each.number == number - 1]
    known = [each.slots for each in preceding if each.since_version == since]
    known += [each.slots for each in tables.of_documents(policy.declared_us, since)]
    if any(_moves_to(table, policy) for table in known):
        return
    if known and (preceding or number == 1):
        differs("slots", "the runs of its content", "those after the policy before")
    else:
        lacking = f"policy {number - 1}" if known else f"version {since}"
        found.gaps[
            f"The log lacks {lacking} of route {policy.route}, so the slots of policy {number} were not computed; "
            "its weights were."
        ] += 1


def recomputed_slots(content: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the slots of each arm that the content of a learned policy leads to.

    Raises:
        BanditError: the policy does not exist, or cannot use its estimates.
        KeyError, TypeError, ValueError: it is no such content.
    """
    floors, ceilings, largest_change, burn_in = content["bounds"]
    bounds = Bounds(tuple(floors), tuple(ceilings), largest_change, burn_in)
    if "models" in content:
        if content["models"] is None:
            return bounded(to_shares(content["before"]), bounds._replace(largest_change=0), content["before"])
        return PolicyWeights(content, len(content["average"])).slots(content["average"])
    decisions, means, covariance = content["estimates"]
    seen = Estimates(tuple(decisions), tuple(means), tuple(map(tuple, covariance)))
    return next_slots(choose_policy(content["policy"], content["parameters"]), seen, bounds, content["before"])


def _moves_to(table: SlotTable, policy: LearnedPolicy) -> bool:
    """Return True if the policy's slots are those after this table."""
    if [counts(table).get(arm, 0) for arm in policy.slots] != list(policy.content["before"]):
        return False
    return reallocate(table, counts(policy.slots)) == policy.slots
