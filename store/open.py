"""The choice of a store by its URL."""

from pathlib import Path

from store.interface import Store
from store.redis.address import FORMS, is_redis_url, parse_redis_url
from store.sqlite.store import SQLiteStore

_SQLITE = "sqlite:///"


def open_store(url: str) -> Store:
    """Open a store in a file (`sqlite:///relative.db`, `sqlite:////absolute.db`) or in Redis (`store.redis.address`).

    A store in Redis connects on its first call.

    Raises:
        ValueError: the URL names no known store or is malformed. The sentence does not repeat the URL, which may hold
            a password.
        StoreUnavailable: a file cannot be opened.
    """
    if url.startswith(_SQLITE):
        return SQLiteStore(Path(url.removeprefix(_SQLITE)))
    if is_redis_url(url):
        from store.redis.store import RedisStore  # redis-py is slow to import; a SQLite store does not need it

        return RedisStore(parse_redis_url(url))
    scheme, separator, _ = url.partition("://")
    given = f"{scheme}://…" if separator else "no URL"
    raise ValueError(f"POINTSMAN_STORE is {given}; it must look like sqlite:///path/to/file.db, {FORMS}.")
