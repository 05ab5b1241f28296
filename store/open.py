"""Opens the store that a URL names. Acts."""

from pathlib import Path

from store.interface import Store
from store.redis.address import FORMS, is_redis_url, parse_redis_url
from store.sqlite.store import SQLiteStore

_SQLITE = "sqlite:///"


def open_store(url: str) -> Store:
    """A store in a file (`sqlite:///relative.db`, `sqlite:////absolute.db`) or in Redis (`store.redis.address`).

    A store in Redis connects when it is first asked.

    Raises:
        ValueError: the URL names no known store, or names one wrongly; it is not repeated, for it may hold a password.
        StoreUnavailable: a file cannot be opened.
    """
    if url.startswith(_SQLITE):
        return SQLiteStore(Path(url.removeprefix(_SQLITE)))
    if is_redis_url(url):
        from store.redis.store import RedisStore  # its library takes a while to import, which nobody else need wait for

        return RedisStore(parse_redis_url(url))
    scheme, separator, _ = url.partition("://")
    given = f"{scheme}://…" if separator else "no URL"
    raise ValueError(f"POINTSMAN_STORE is {given}; it must look like sqlite:///path/to/file.db, {FORMS}.")
