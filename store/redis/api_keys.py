"""API keys in Redis. Acts."""

import uuid
from collections.abc import Sequence
from dataclasses import replace

from store.api_key import ApiKey
from store.codec import decode, encode
from store.redis.connection import RedisConnection

_TELLS = "pointsman keys list"


class RedisApiKeys(RedisConnection):
    """The part of `store.interface.Store` that is about API keys."""

    def keys_revision(self) -> int:
        """See `Store.keys_revision`."""
        return int(self._ask("HGET", self._keys.store, "keys") or 0)

    def keys(self) -> Sequence[ApiKey]:
        """See `Store.keys`."""
        bodies = self._ask("HVALS", self._keys.api_keys)
        keys = [key for body in bodies if (key := decode(body, ApiKey)) is not None]
        return sorted(keys, key=lambda key: (key.created_at_s, key.id))

    def add_key(self, key: ApiKey) -> bool:
        """See `Store.add_key`."""
        names = [self._keys.store, self._keys.api_keys, self._keys.attempt(uuid.uuid4().hex)]
        answer = self._write("add_key", names, self._keys.changed, key.id, encode(key), tells=_TELLS)
        return bool(answer[0] == "added")

    def revoke_key(self, key_id: str, at_s: float) -> ApiKey | None:
        """See `Store.revoke_key`."""
        names = [self._keys.store, self._keys.api_keys]
        while True:  # until nobody else has changed it since it was read
            body = self._ask("HGET", self._keys.api_keys, key_id)
            key = None if body is None else decode(body, ApiKey)
            if key is None or key.revoked_at_s is not None:
                return key
            revoked = replace(key, revoked_at_s=at_s)
            answer = self._write("replace_key", names, self._keys.changed, key_id, body, encode(revoked), tells=_TELLS)
            if answer[0] == "replaced":
                return revoked
