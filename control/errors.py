"""What a store can say no with.

StoreError
├── Conflict           somebody else changed the document first
└── StoreUnavailable   the store cannot be reached or cannot write
"""


class StoreError(Exception):
    """Base of everything a store raises."""


class Conflict(StoreError):
    """The document is not at the version that the writer had read. Nothing was changed."""

    def __init__(self, route: str, expected: int, current: int) -> None:
        super().__init__(
            f"Route {route} is at version {current}, not {expected}: somebody changed it first. "
            "Read it again, then repeat the change."
        )
        self.current = current


class StoreUnavailable(StoreError):
    """The store does not answer; the replicas go on serving their last snapshot."""
