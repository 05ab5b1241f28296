"""Learned policies in a SQLite file: the newest of each route."""

from router.document.learned import LearnedPolicy
from store.codec import decode_policy, encode_policy
from store.policies import Policies
from store.sqlite.connection import SQLiteConnection


class SQLitePolicies(SQLiteConnection):
    """The learned policies of `store.interface.Store`."""

    def policies(self, after: int) -> Policies:
        """See `Store.policies`."""
        rows = self._query("SELECT route, revision, body FROM policies WHERE revision > ? ORDER BY revision", after)
        read = {route: policy for route, _, body in rows if (policy := decode_policy(body)) is not None}
        revision = int(rows[-1][1]) if rows else self._query_number("SELECT COALESCE(MAX(revision), 0) FROM policies")
        return Policies(revision, read)

    def policy(self, route: str) -> LearnedPolicy | None:
        """See `Store.policy`."""
        rows = self._query("SELECT body FROM policies WHERE route = ?", route)
        return decode_policy(rows[0][0]) if rows else None

    def learn(self, policy: LearnedPolicy, before: int) -> bool:
        """See `Store.learn`."""
        body = encode_policy(policy)
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT declared_us, number, body FROM policies WHERE route = ?", (policy.route,)
            ).fetchone()
            if row == (policy.declared_us, policy.number, body):
                return True
            if before != (row[1] if row is not None and row[0] == policy.declared_us else 0):
                return False
            connection.execute(
                "INSERT OR REPLACE INTO policies "
                "SELECT ?, ?, ?, (SELECT COALESCE(MAX(revision), 0) + 1 FROM policies), ?",
                (policy.route, policy.declared_us, policy.number, body),
            )
            return True
