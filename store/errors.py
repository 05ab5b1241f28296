"""The errors that a store raises."""


class StoreError(Exception):
    """Base of everything a store raises."""


class Conflict(StoreError):
    """The document is no longer at the version that the writer had read. Nothing was changed."""

    def __init__(self, route: str, expected: int, current: int) -> None:
        super().__init__(
            f"Route {route} is at version {current}, not {expected}: another change came first. "
            "Read it again, then repeat the change."
        )
        self.current = current


class Moved(Conflict):
    """The store is no longer at the number that the writer had read. Nothing was changed."""

    def __init__(self, expected: int, current: int) -> None:
        StoreError.__init__(
            self,
            f"The store is at change {current}, not {expected}: another change of a route came first. "
            "Read the routes again, then repeat the change.",
        )
        self.current = current


class Foreign(Conflict):
    """The store has documents under another identity than the documents to put back. Nothing was changed."""

    def __init__(self, expected: str, current: str) -> None:
        StoreError.__init__(
            self,
            f"The store has routes of its own (its identity is {current}, not {expected}), which are kept. "
            "What a replica knows is put back only into the store that has lost it.",
        )
        self.current = 0


class OutcomesChanged(StoreError):
    """The outcomes of a decision are not what the writer had read. Nothing was changed: read them again."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or cannot write. The replicas go on serving their last snapshot."""
