"""Every kind of store, with the few operations that the specification needs besides the Protocol.

A new store is one more class here and one more line in `KINDS`. The kind `redis` starts one real redis-server.
"""

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest

from store.interface import Store
from store.open import open_store
from store.sqlite.store import SQLiteStore
from tests.support.redis_server import RedisServer


class Kind:
    """The base of all kinds. It opens several stores on the same data, as several replicas do."""

    notifies = False
    """True if waiting for a change ends as soon as there is one."""

    def __init__(self) -> None:
        self._opened: list[Store] = []

    def open(self) -> Store:
        """Open another store on the same data."""
        store = self._open()
        self._opened.append(store)
        return store

    def close(self) -> None:
        """Close every store that was opened."""
        for store in self._opened:
            store.close()


class SQLiteKind(Kind):
    """SQLite. All stores share one file."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        super().__init__()
        self.path = request.getfixturevalue("tmp_path") / "control.db"

    def _open(self) -> Store:
        return SQLiteStore(self.path, busy_timeout_s=30.0)

    def damage_document(self, body: str) -> None:
        """Replace the bodies of all stored documents."""
        self._execute("UPDATE documents SET body = ?", body)

    def damage_change(self, body: str) -> None:
        """Replace the changes of all stored documents."""
        self._execute("UPDATE documents SET change = ?", body)

    def damage_report(self, body: str) -> None:
        """Replace the reports of all replicas."""
        self._execute("UPDATE replicas SET report = ?", body)

    def damage_key(self, key_id: str, body: str) -> None:
        """Replace one stored key."""
        self._execute("UPDATE keys SET body = ? WHERE id = ?", body, key_id)

    def take_away(self) -> None:
        """Make the data unreachable for the stores that are open."""
        tables = ("documents", "identity", "audited", "replicas", "keys", "sources", "sums", "group_sums", "counted")
        of_rewards = ("reward_sums", "context_sums", "outcomes", "policies", "machines")
        drops = " ".join(f"DROP TABLE {table};" for table in (*tables, *of_rewards))
        with contextlib.closing(sqlite3.connect(self.path)) as connection:  # one transaction: each waits for the disk
            connection.executescript(f"BEGIN; {drops} COMMIT;")

    def _execute(self, sql: str, *arguments: str) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            connection.execute(sql, arguments)
        connection.close()


class RedisKind(Kind):
    """Redis. All stores use one real server, which is emptied before each test."""

    notifies = True

    def __init__(self, request: pytest.FixtureRequest) -> None:
        super().__init__()
        self._server: RedisServer = request.getfixturevalue("redis_server")
        self.client = self._server.client()
        self.client.flushall()

    def _open(self) -> Store:
        return open_store(self._server.url)

    def damage_document(self, body: str) -> None:
        """Replace the bodies of all stored documents."""
        for key in self.client.keys("{pointsman}:document:*"):
            self.client.hset(key, "document", body)

    def damage_change(self, body: str) -> None:
        """Replace the changes of all stored documents."""
        for key in self.client.keys("{pointsman}:document:*"):
            self.client.hset(key, "change", body)

    def damage_report(self, body: str) -> None:
        """Replace the reports of all replicas."""
        for replica in self.client.hkeys("{pointsman}:reports"):
            self.client.hset("{pointsman}:reports", replica, f"1800000000 {body}")

    def damage_key(self, key_id: str, body: str) -> None:
        """Replace one stored key."""
        self.client.hset("{pointsman}:keys", key_id, body)

    def take_away(self) -> None:
        """Make the data unreachable for the stores that are open."""
        self.client.config_set("requirepass", "changed")
        self.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        self.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    def close(self) -> None:
        """Close every store that was opened, and make the data reachable again."""
        super().close()
        self.client.config_set("requirepass", "")
        self.client.close()


KINDS = {"sqlite": SQLiteKind, "redis": RedisKind}


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=KINDS)
def kind(request) -> Iterator[Kind]:
    made = KINDS[request.param](request)
    yield made
    made.close()


@pytest.fixture
def store(kind) -> Store:
    return kind.open()
