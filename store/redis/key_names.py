"""The names of the keys of a Redis store. Decides.

All of them share one hash tag, and so one slot, and so one server of a cluster: scripts may touch several at once.
"""


class Keys:
    """The keys below one prefix. What each holds is said at the top of the scripts that write it."""

    def __init__(self, prefix: str) -> None:
        self._tag = f"{{{prefix}}}"
        self.store = f"{self._tag}:store"
        self.routes = f"{self._tag}:routes"
        self.order = f"{self._tag}:order"
        self.api_keys = f"{self._tag}:keys"
        self.reports = f"{self._tag}:reports"
        self.changed = f"{self._tag}:changed"
        """Not a key: the channel that tells of documents and API keys that were written."""

    def document(self, route: str, version: int | str) -> str:
        """One version of a document."""
        return f"{self._tag}:document:{version}:{route}"

    def history(self, route: str) -> str:
        """The versions of a route."""
        return f"{self._tag}:history:{route}"

    def attempt(self, attempt: str) -> str:
        """What an attempt has answered."""
        return f"{self._tag}:attempt:{attempt}"

    def source(self, source: str) -> str:
        """Where what was counted of a source ends."""
        return f"{self._tag}:source:{source}"

    def bucket(self, route: str, bucket_s: int | str) -> str:
        """Sums of one bucket of time."""
        return f"{self._tag}:bucket:{bucket_s}:{route}"

    def buckets(self, route: str) -> str:
        """The index of a route's buckets."""
        return f"{self._tag}:buckets:{route}"

    def total(self, route: str, policy_version: int | str) -> str:
        """Sums over all time of one policy version."""
        return f"{self._tag}:total:{policy_version}:{route}"

    def totals(self, route: str) -> str:
        """The index of a route's policy versions that have sums."""
        return f"{self._tag}:totals:{route}"
