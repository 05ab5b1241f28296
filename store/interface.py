"""The Protocol of a store. Every implementation passes the same test suite.

All methods block. They are called from threads, never on the request path. They raise `StoreUnavailable` when the
store cannot be reached. A write that failed this way is not made later either: a server that resumes after a stop
refuses every write that has waited for longer than its caller did.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from router.document.document import Document
from router.document.learned import LearnedPolicy
from router.evidence.sums import GroupSums, Sums
from router.rewards.outcomes import DecisionKey
from router.rewards.sums import ContextSums
from store.api_key import ApiKey
from store.counted import Counted
from store.entry import Entry, NumberedEntry
from store.machines import Machines
from store.policies import Policies
from store.report import Report
from store.revision import Marks, Revision
from store.rewarded import NO_REWARDS, ReadRewards, Rewarded


class Store(Protocol):
    """Documents, sums of the traffic and of rewards, outcomes, reports of replicas, and API keys."""

    def revision(self) -> Revision:
        """Return the store's revision; `("", 0)` without data. It is cheap enough for several calls a second."""

    def marks(self) -> Marks:
        """Return the numbers that tell what is new in the store, in one read that is as cheap as `revision`."""

    def routes(self) -> Sequence[str]:
        """Return the name of every declared route."""

    def documents(self) -> Mapping[str, Document]:
        """Return the newest version of every route's document.

        Raises:
            Corrupt: a stored document cannot be read back.
        """

    def read(self, route: str) -> Entry | None:
        """Return the newest version of one route's document, or None.

        Raises:
            Corrupt: it cannot be read back.
        """

    def compare_and_set(self, entries: Sequence[Entry], at: int | None = None) -> None:
        """Write all documents or none: each only if its route is at exactly the version before it.

        If `at` is given, the number of the store's revision must still be `at`, too. It is no error to write again
        what has been written already (each of these versions exists and has the same `Change.id`). This changes
        nothing, even if other writes came since.

        Raises:
            Conflict: another write came first; nothing was written. `Moved` if `at` was all that did not match.
        """

    def history(self, route: str, limit: int) -> Sequence[Entry]:
        """Return the newest `limit` versions, newest first.

        Raises:
            Corrupt: one of them cannot be read back.
        """

    def version(self, route: str, version: int) -> Entry | None:
        """Return one version of one route's document, or None.

        Raises:
            Corrupt: it cannot be read back.
        """

    def changes(self, after: int, limit: int) -> Sequence[NumberedEntry]:
        """Return the changes of all routes whose number is greater than `after`, oldest first.

        A change that cannot be read back is left out and does not count towards `limit`.
        """

    def audited(self) -> int:
        """Return the number of the last change that is in the log."""

    def advance_audited(self, before: int, after: int) -> bool:
        """Record that the changes up to `after` are in the log.

        Return False, and change nothing, unless `before` was the number recorded until now.
        """

    def policies(self, after: int) -> Policies:
        """Return the newest learned policy of each route for which one was written after the revision `after`.

        A policy that cannot be read back is left out. The revision that is returned is the store's. It is as cheap as
        `revision` if there is none.
        """

    def policy(self, route: str) -> LearnedPolicy | None:
        """Return the newest learned policy of one route; None if there is none or it cannot be read back."""

    def learn(self, policy: LearnedPolicy, before: int) -> bool:
        """Write the next policy of a route.

        Return False, and write nothing, unless the newest one of the same life of the route has the number `before`;
        0 means that this life has none. It is no error to write again what has been written already.
        """

    def restore(self, identity: str, entries: Sequence[Entry], keys: Sequence[ApiKey]) -> Sequence[str]:
        """Put back what a replica knows into a store that has lost it, and give the store that identity again.

        A document is written if the store has none or an older one, whatever the version. A key is written if the
        store has none with its id. Each document is a change with a number of its own. Return the routes that were
        written.

        Raises:
            Foreign: the store has documents under another identity; nothing was written.
        """

    def count(
        self, source: str, before: int, after: int, added: Mapping[str, Sums], rewarded: Rewarded = NO_REWARDS
    ) -> int:
        """Add sums by route, exactly once.

        They are added only if the counted part of `source` ends at exactly `before`. From then on it ends at `after`.
        Return where the counted part ends now. If that is not `after`, nothing was added. `before` is 0 for a new
        source. The key of a sum has a time bucket: the value is added to the sum of that bucket and to the sum over all
        time. A sum that would not fit into 64 bits stays at the largest number that does. Sums of groups of units are
        kept apart from the others, so that they do not slow the reading of those. The same holds for sums of rewards.

        Raises:
            OutcomesChanged: an outcome is not what was read; nothing was added.
        """

    def outcomes(self, keys: Sequence[DecisionKey]) -> Sequence[bytes]:
        """Return what is kept of the outcomes of each decision, in order; no bytes where nothing is."""

    def count_all(
        self, ranges: Mapping[str, tuple[int, int]], added: Mapping[str, Sums], rewarded: Rewarded = NO_REWARDS
    ) -> Mapping[str, int]:
        """Add the sums of a range of each of several sources in one step, all or none, as `count` does for one.

        Return where the counted part of each source ends now. Unless these are the ends of the ranges, nothing was
        added.

        Raises:
            OutcomesChanged: an outcome is not what was read; nothing was added.
        """

    def counted_since(self, number: int, among: Collection[str] | None = None) -> Counted:
        """Return the routes whose sums have changed after the addition `number`; only those of `among`, if it is given.

        It costs as much as there are such routes or, if `among` is given, as that has routes. Sums that are read after
        this call are at least those of the number that it returns.
        """

    def counted(self, source: str) -> int:
        """Return where the counted part of a source ends."""

    def counted_each(self, sources: Collection[str]) -> Mapping[str, int]:
        """Return where the counted part of each of these sources ends."""

    def advance(self, ranges: Mapping[str, tuple[int, int]]) -> Mapping[str, int]:
        """Move the ends of many sources, each as `count` does without sums: by source, from `before` to `after`.

        Return where the counted part of each source ends now.
        """

    def forget_source(self, source: str) -> None:
        """Forget where the counted part of a source ends. The caller must never count that source again."""

    def sums(self, route: str, since_version: int) -> Sums:
        """Return the sums over all time of the policy versions from `since_version` on, but none of a group of units.

        Only the newest `VERSIONS_READ` policy versions are returned.
        """

    def recent_sums(self, route: str, since_s: int) -> Sums:
        """Return the sums by bucket, of the buckets that begin at `since_s` or later, but none of a group of units.

        A bucket is kept for `BUCKETS_KEPT_S`.
        """

    def group_sums(self, route: str, since_version: int, since_s: int) -> GroupSums:
        """Return the sums by group of units of the policy versions from `since_version` on.

        Over all time, only the newest `VERSIONS_READ` policy versions are returned. By bucket, those that begin at
        `since_s` or later; a bucket is kept for `BUCKETS_KEPT_S`. There may be 64 times as many sums as of all units,
        so read them only when they are needed.
        """

    def reward_sums(self, route: str, since_version: int, since_s: int, *, by_group: bool = False) -> ReadRewards:
        """Return the sums of rewards of the policy versions from `since_version` on.

        Over all time, only the newest `VERSIONS_READ` policy versions are returned. By bucket, those that begin at
        `since_s` or later; of each length, `router.rewards.buckets.BUCKETS_KEPT` are kept. With `by_group` they are
        those of the groups of units and no others; without it, none of a group.
        """

    def context_sums(self, route: str, since_version: int, since_s: int) -> ContextSums:
        """Return the sums from which a contextual bandit learns, of the policy versions from `since_version` on.

        They are by bucket, of the buckets that begin at `since_s` or later, and as many are kept as of `reward_sums`.
        There are none over all time. Sums of different numbers of integers never add up: the first one stays.
        """

    def await_change(self, timeout_s: float) -> bool:
        """Wait until a document or key is written, as far as the store can tell, or until `timeout_s` has passed.

        Return True if the store has told, or may have before this call. This raises nothing. The next other call finds
        out that the store is gone.
        """

    def beat(self, machine: str, declines: Collection[str] = ()) -> Machines:
        """Note that a machine evaluates routes, but for those that it declines. Return the machines that do so.

        One that has not said so for `store.machines.SILENT_S` is left out.
        """

    def leave(self, machine: str) -> None:
        """Forget a machine that evaluates no routes any more."""

    def report(self, report: Report) -> None:
        """Replace the last report of this replica."""

    def retire(self, replica: str) -> None:
        """Forget a replica that has stopped in good order."""

    def reports(self) -> Sequence[Report]:
        """Return the last report of every replica, by name. A replica that was silent for a minute may be left out."""

    def keys_revision(self) -> int:
        """Return a number that grows whenever a key is added or revoked. It is as cheap to read as `revision`."""

    def keys(self) -> Sequence[ApiKey]:
        """Return every key, including revoked and expired ones, the oldest first.

        A key that cannot be read back is left out: it grants nothing until it is repaired, and the others still work.
        """

    def add_key(self, key: ApiKey) -> bool:
        """Store a new key. Return False, and write nothing, if there is a key with its id."""

    def revoke_key(self, key_id: str, at_s: float) -> ApiKey | None:
        """Revoke a key for good and return it. The first revocation counts. Return None if there is no such key."""

    def close(self) -> None:
        """Release the connections."""
