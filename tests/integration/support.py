"""What the tests of Redis share: how long a call may take, and whether a store is reachable."""

from store.errors import StoreUnavailable
from store.interface import Store

BOUNDED_S = 20.0
"""Far above the two seconds that a question may take, for a busy machine, and far below waiting for ever."""


def is_reachable(store: Store) -> bool:
    """Return True if the store answers."""
    try:
        store.revision()
    except StoreUnavailable:
        return False
    return True
