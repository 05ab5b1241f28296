"""What a store can say no with.

StoreError
├── Conflict           somebody else changed the document first
│   ├── Moved          somebody else changed any document first
│   └── Foreign        the store's documents are not those that a replica knows
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


class Moved(Conflict):
    """The store is not at the number that the writer had read. Nothing was changed."""

    def __init__(self, expected: int, current: int) -> None:
        StoreError.__init__(
            self,
            f"The store is at change {current}, not {expected}: somebody changed a route first. "
            "Read the routes again, then repeat the change.",
        )
        self.current = current


class Foreign(Conflict):
    """The store has documents under another identity than those that were to be put back. Nothing was changed."""

    def __init__(self, expected: str, current: str) -> None:
        StoreError.__init__(
            self,
            f"The store has routes of its own (its identity is {current}, not {expected}), which are kept. "
            "What a replica knows is put back only into the store that has lost it.",
        )
        self.current = 0


class StoreUnavailable(StoreError):
    """The store does not answer; the replicas go on serving their last snapshot."""
