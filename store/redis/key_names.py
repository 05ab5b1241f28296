"""The names of the keys of a Redis store.

All of them share one hash tag. So they lie in one hash slot, on one server of a cluster, and a script may use several.
"""

import binascii
import hashlib

from router.rewards.outcomes import DecisionKey

_DIGEST_BYTES = 16


class KeyNames:
    """The names under one prefix. Each script in `lua/` begins with what the keys hold that it writes."""

    def __init__(self, prefix: str) -> None:
        self._tag = f"{{{prefix}}}"
        self.store = f"{self._tag}:store"
        self.routes = f"{self._tag}:routes"
        self.order = f"{self._tag}:order"
        self.api_keys = f"{self._tag}:keys"
        self.counted = f"{self._tag}:counted"
        self.reports = f"{self._tag}:reports"
        self.reported = f"{self._tag}:reported"
        self.report_times = f"{self._tag}:report_times"
        self.machines = f"{self._tag}:machines"
        self.declined = f"{self._tag}:declined"
        self.policies = f"{self._tag}:policies"
        self.policy_order = f"{self._tag}:policy_order"
        self._outcome = f"{self._tag}:outcome:"
        self.changed = f"{self._tag}:changed"
        """Not a key: the channel to which every write of a document or API key is published."""

    def document(self, route: str, version: int | str) -> str:
        """Return the key of one version of a document."""
        return f"{self._tag}:document:{version}:{route}"

    def history(self, route: str) -> str:
        """Return the key of the list of a route's versions."""
        return f"{self._tag}:history:{route}"

    def attempt(self, attempt: str) -> str:
        """Return the key of the reply to an attempt."""
        return f"{self._tag}:attempt:{attempt}"

    def source(self, source: str) -> str:
        """Return the key of the number where the counted part of a source ends."""
        return f"{self._tag}:source:{source}"

    def bucket(self, route: str, bucket_s: int | str) -> str:
        """Return the key of the sums of one time bucket."""
        return f"{self._tag}:bucket:{bucket_s}:{route}"

    def buckets(self, route: str) -> str:
        """Return the key of the index of a route's time buckets."""
        return f"{self._tag}:buckets:{route}"

    def total(self, route: str, policy_version: int | str) -> str:
        """Return the key of the sums over all time of one policy version."""
        return f"{self._tag}:total:{policy_version}:{route}"

    def totals(self, route: str) -> str:
        """Return the key of the index of a route's policy versions that have sums."""
        return f"{self._tag}:totals:{route}"

    def group_bucket(self, route: str, bucket_s: int | str) -> str:
        """Return the key of the sums by group of units of one time bucket."""
        return f"{self._tag}:group_bucket:{bucket_s}:{route}"

    def group_buckets(self, route: str) -> str:
        """Return the key of the index of a route's time buckets that have sums by group of units."""
        return f"{self._tag}:group_buckets:{route}"

    def group_total(self, route: str, policy_version: int | str) -> str:
        """Return the key of the sums by group of units over all time of one policy version."""
        return f"{self._tag}:group_total:{policy_version}:{route}"

    def group_totals(self, route: str) -> str:
        """Return the key of the index of a route's policy versions that have sums by group of units."""
        return f"{self._tag}:group_totals:{route}"

    def outcome(self, decision: DecisionKey) -> str:
        """Return the key of the outcomes of one decision.

        There may be millions of these keys, so a digest of 22 characters stands for the decision.
        """
        text = f"{decision.route}\0{decision.declared_us}\0{decision.decision_id}"
        digest = hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()
        return self._outcome + binascii.b2a_base64(digest, newline=False)[:-2].decode()

    def reward_buckets(self, route: str, length_s: int, *, by_group: bool) -> str:
        """Return the key of the index of a route's time buckets of one length that have sums of rewards.

        The key of such a bucket's sums is `stem` of this, and the start of the bucket.
        """
        return f"{self._tag}:{'group_' if by_group else ''}rewards_in:{length_s}:{route}"

    def context_buckets(self, route: str, length_s: int) -> str:
        """Return the key of the index of a route's time buckets with sums from which a contextual bandit learns."""
        return f"{self._tag}:contexts_in:{length_s}:{route}"

    def reward_totals(self, route: str, *, by_group: bool) -> str:
        """Return the key of the index of a route's policy versions that have sums of rewards.

        The key of such a version's sums over all time is `stem` of this, and the version.
        """
        return f"{self._tag}:{'group_' if by_group else ''}rewards:{route}"

    def stem(self, index: str) -> str:
        """Return what the keys of the hashes that an index of sums of rewards lists have before their score."""
        return f"{index}:"
