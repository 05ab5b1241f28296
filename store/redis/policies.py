"""Learned policies in Redis: the newest of each route."""

from router.document.learned import LearnedPolicy
from store.codec import decode_policy, encode_policy
from store.policies import Policies
from store.redis.connection import RedisConnection


class RedisPolicies(RedisConnection):
    """The learned policies of `store.interface.Store`."""

    def policies(self, after: int) -> Policies:
        """See `Store.policies`."""
        names = self._names
        # The order is read first: a policy that is written meanwhile is read again with the next revision.
        order = self._execute("ZRANGE", names.policy_order, f"({after}", "+inf", "BYSCORE", "WITHSCORES")
        if not order:
            return Policies(int(self._execute("HGET", names.store, "policies") or 0), {})
        routes = order[::2]
        bodies = self._execute("HMGET", names.policies, *routes)
        read = {
            route: policy
            for route, stored in zip(routes, bodies, strict=True)
            if stored is not None and (policy := _decode(stored)) is not None
        }
        return Policies(int(order[-1]), read)

    def policy(self, route: str) -> LearnedPolicy | None:
        """See `Store.policy`."""
        stored = self._execute("HGET", self._names.policies, route)
        return None if stored is None else _decode(stored)

    def learn(self, policy: LearnedPolicy, before: int) -> bool:
        """See `Store.learn`."""
        names = self._names
        reply = self._write(
            "learn",
            [names.store, names.policies, names.policy_order],
            policy.route,
            policy.declared_us,
            before,
            policy.number,
            encode_policy(policy),
        )
        return bool(reply[0] == "learned")


def _decode(stored: str) -> LearnedPolicy | None:
    """Read a policy behind the life of its route and its number."""
    return decode_policy(stored.split(" ", 2)[2])
