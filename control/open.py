"""Opens the store that a URL names. Acts."""

from pathlib import Path

from control.sqlite import SQLiteStore
from control.store import Store

_SQLITE = "sqlite:///"


def open_store(url: str) -> Store:
    """`sqlite:///relative.db` or `sqlite:////absolute.db`.

    Raises:
        ValueError: the URL names no known store.
        StoreUnavailable: it cannot be opened.
    """
    if url.startswith(_SQLITE):
        return SQLiteStore(Path(url.removeprefix(_SQLITE)))
    raise ValueError(f"POINTSMAN_STORE is {url!r}; it must look like sqlite:///path/to/file.db.")
