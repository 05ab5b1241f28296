"""The machines that evaluate routes, in a SQLite file: in general one, since the file is on its disk."""

import json
from collections.abc import Collection

from store.machines import SILENT_S, Machines
from store.sqlite.connection import SQLiteConnection


class SQLiteMachines(SQLiteConnection):
    """The machines of `store.interface.Store`."""

    def beat(self, machine: str, declines: Collection[str] = ()) -> Machines:
        """See `Store.beat`."""
        with self._transaction() as connection:
            now_s = self._now()
            connection.execute(
                "INSERT OR REPLACE INTO machines VALUES (?, ?, ?)", (machine, now_s, json.dumps(list(declines)))
            )
            connection.execute("DELETE FROM machines WHERE ABS(? - at_s) >= ?", (now_s, SILENT_S))
            rows = connection.execute("SELECT machine, declines FROM machines").fetchall()
        return {name: frozenset(json.loads(declined)) for name, declined in rows}

    def leave(self, machine: str) -> None:
        """See `Store.leave`."""
        self._query("DELETE FROM machines WHERE machine = ?", machine)
