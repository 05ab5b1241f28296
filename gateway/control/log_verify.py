"""Compares the store's sums with those that are rebuilt from the log, to the integer.

Sums of contexts, from which contextual bandits learn, are compared by time bucket, of the buckets that a store keeps.

What is compared is of one moment. The segments that are not Parquet yet are read as far as the store has counted them,
so a gateway may go on meanwhile. If it counts while the store is read, the store is read again.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from gateway.errors import GatewayError
from inference_log.completeness.whole_log import Lost, find_lost
from inference_log.files import LogFiles
from inference_log.frozen_log import FrozenLog, frozen_log
from inference_log.rebuild.log import rebuild
from inference_log.rebuild.rebuilt import Declared, Rebuilt
from inference_log.segment import SUFFIX
from inference_log.spool import DEAD_LETTER, all_segments, segments
from inference_log.strict.parts import parts_by_segment
from router.evidence.sums import REQUESTS, SumKey
from router.rewards.buckets import BUCKETS_KEPT
from router.rewards.sums import NO_GROUP, ContextSums, RewardKey, RewardSum
from store.counted import VERSIONS_READ
from store.interface import Store

_TRIES = 20
_PAUSE_S = 0.1
_NO_BUCKETS_S = 1 << 40
_NOTHING = RewardSum(0, 0, 0, 0)


class SumsKeepChanging(GatewayError):
    """The store's sums changed each time that they were read."""


class Difference(NamedTuple):
    """A sum that the store and the log do not agree on. `metric` is empty if it is the number of requests.

    Of a sum of contexts there is the first integer that differs, with the start of the time bucket and its place.
    """

    route: str
    policy_version: int
    arm: str
    model_version: str
    metric: str
    group: int | None
    store: Mapping[str, int]
    log: Mapping[str, int]


@dataclass(frozen=True)
class Verified:
    """What was compared, and what differs.

    `set_aside` counts the segments whose rows the log lacks. `lost` tells the rows that it lacks, from the log alone.
    `not_shipped` names segments of other machines that have rows in the second place.
    """

    sums: int
    decisions: int
    rewards: int
    older_versions: int
    set_aside: int
    lost: Sequence[Lost]
    differences: Sequence[Difference] = field(default_factory=list)
    not_shipped: Sequence[str] = ()


class _Live(NamedTuple):
    """The store's sums of a route, and the lowest policy version of which it tells all."""

    rewards: Mapping[RewardKey, RewardSum]
    contexts: ContextSums
    requests: Mapping[SumKey, int]
    since_version: int


def verify_log(
    store: Store,
    files: LogFiles,
    spool: Path,
    progress: Callable[[str], None],
    clock: Callable[[], float] = time.time,
) -> Verified:
    """Rebuild all sums from the log, and compare them with the store's.

    `clock` tells by which time buckets are kept, in seconds since the epoch.

    Raises:
        SumsKeepChanging: there was no moment in which the store could be read.
        StoreUnavailable: it does not answer.
        LogUnavailable: the log cannot be read now.
    """
    for _ in range(_TRIES):
        progress("reading the sums of the store")
        before = store.counted_since(0).number
        with frozen_log(files, spool) as frozen:
            frozen.ends = store.counted_each(frozen.names)
            lives = {route: each.declared_us for route, each in store.documents().items()}
            live = {route: _read(store, route) for route in lives}
            names = {path.name for path in all_segments(spool)}
            if store.counted_since(0).number == before and names == set(frozen.names):
                set_aside = len(segments(spool / DEAD_LETTER))
                found = _compare(store, frozen, lives, live, set_aside, progress, clock())
                elsewhere = parts_by_segment(files).keys() - {name.removesuffix(SUFFIX) for name in names}
                return replace(found, not_shipped=sorted(elsewhere))
        time.sleep(_PAUSE_S)
    raise SumsKeepChanging(
        f"The sums changed while they were read, {_TRIES} times in a row. Try again when there is less traffic."
    )


def _read(store: Store, route: str) -> _Live:
    parts = [store.reward_sums(route, 0, _NO_BUCKETS_S, by_group=by_group).totals for by_group in (False, True)]
    requests = {key: count for key, count in store.sums(route, 0).items() if key.name == REQUESTS}
    versions = [{key.policy_version for sums in parts for key in sums}, {key.policy_version for key in requests}]
    since = max((min(each) for each in versions if len(each) >= VERSIONS_READ), default=0)
    return _Live({**parts[0], **parts[1]}, store.context_sums(route, 0, 0), requests, since)


def _compare(
    store: Store,
    frozen: FrozenLog,
    lives: Mapping[str, int],
    live: Mapping[str, _Live],
    set_aside: int,
    progress: Callable[[str], None],
    now_s: float,
) -> Verified:
    @cache
    def declared_by(route: str, version: int) -> Declared:
        entry = store.version(route, version)
        if entry is None:
            return Declared()
        spec = entry.document.spec
        return Declared(spec.metrics, spec.maximised, spec.weighing)

    rebuilt = rebuild(frozen, lives, declared_by, progress)
    differences, count, older = list[Difference](), 0, 0
    for route, of_store in live.items():
        of_log = rebuilt.rewards.get(route, {})
        older += len({key.policy_version for key in of_log if key.policy_version < of_store.since_version})
        count += len({*of_store.rewards, *of_log}) + len({*of_store.requests, *rebuilt.requests.get(route, {})})
        for key in sorted({*of_store.rewards, *of_log}):
            stored, logged = of_store.rewards.get(key, _NOTHING), of_log.get(key, _NOTHING)
            if stored != logged and key.policy_version >= of_store.since_version:
                differences.append(_difference(route, key, stored, logged))
        differences += _requests(route, of_store, rebuilt)
        keys = _kept({*of_store.contexts, *rebuilt.contexts.get(route, {})}, now_s)
        count += len(keys)
        differences += _contexts(route, keys, of_store.contexts, rebuilt.contexts.get(route, {}))
    lost = find_lost(frozen, progress)
    return Verified(count, rebuilt.decisions_read, rebuilt.rewards_read, older, set_aside, lost, differences)


def _difference(route: str, key: RewardKey, stored: RewardSum, logged: RewardSum) -> Difference:
    group = None if key.group == NO_GROUP else key.group
    return Difference(
        route, key.policy_version, key.arm, key.model_version, key.metric, group, stored._asdict(), logged._asdict()
    )


def _requests(route: str, live: _Live, rebuilt: Rebuilt) -> list[Difference]:
    """Return the numbers of requests that differ."""
    logged: Mapping[SumKey, int] = rebuilt.requests.get(route, {})
    return [
        Difference(
            route, key.policy_version, key.arm, key.model_version, "", None,
            {REQUESTS: live.requests.get(key, 0)}, {REQUESTS: logged.get(key, 0)},
        )
        for key in sorted({*live.requests, *logged})
        if key.policy_version >= live.since_version and live.requests.get(key, 0) != logged.get(key, 0)
    ]  # fmt: skip


def _kept(keys: Iterable[RewardKey], now_s: float) -> list[RewardKey]:
    """Return those whose time buckets every store still has, in order."""
    return sorted(key for key in keys if key.bucket_s > now_s - (BUCKETS_KEPT - 1) * key.length_s)


def _contexts(route: str, keys: Iterable[RewardKey], live: ContextSums, rebuilt: ContextSums) -> list[Difference]:
    """Return the sums of contexts that differ."""
    found = []
    for key in keys:
        stored, logged = live.get(key, ()), rebuilt.get(key, ())
        pairs = enumerate(zip_longest(stored, logged, fillvalue=0))
        first = next(((place, one, other) for place, (one, other) in pairs if one != other), None)
        if first is not None:
            place, one, other = first
            name = f"contexts of {key.bucket_s}, integer {place}"
            of = route, key.policy_version, key.arm, key.model_version, key.metric, None
            found.append(Difference(*of, {name: one}, {name: other}))
    return found
