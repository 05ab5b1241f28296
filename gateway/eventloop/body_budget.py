"""The bytes of unfinished request bodies that one replica may hold, over all connections of all ports."""


class BodyBudget:
    """A number of bytes that connections share. One per replica, used by its event loop only."""

    __slots__ = ("_left",)

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes

    def take(self, count: int) -> bool:
        """Take bytes for a part of a body that has arrived. Return False, and take nothing, if fewer are left."""
        if count > self._left:
            return False
        self._left -= count
        return True

    def give(self, count: int) -> None:
        """Give back `count` bytes: their body is complete, or was dropped."""
        self._left += count
