"""API keys in Redis."""

import uuid
from collections.abc import Sequence
from dataclasses import replace

from store.api_key import ApiKey
from store.codec import decode, encode
from store.redis.connection import RedisConnection

_CHECK_WITH = "pointsman keys list"


class RedisApiKeys(RedisConnection):
    """The API keys of `store.interface.Store`."""

    def keys_revision(self) -> int:
        """See `Store.keys_revision`."""
        return int(self._execute("HGET", self._names.store, "keys") or 0)

    def keys(self) -> Sequence[ApiKey]:
        """See `Store.keys`."""
        bodies = self._execute("HVALS", self._names.api_keys)
        keys = [key for body in bodies if (key := decode(body, ApiKey)) is not None]
        return sorted(keys, key=lambda key: (key.created_at_s, key.id))

    def add_key(self, key: ApiKey) -> bool:
        """See `Store.add_key`."""
        names = [self._names.store, self._names.api_keys, self._names.attempt(uuid.uuid4().hex)]
        reply = self._write("add_key", names, self._names.changed, key.id, encode(key), check_with=_CHECK_WITH)
        return bool(reply[0] == "added")

    def revoke_key(self, key_id: str, at_s: float) -> ApiKey | None:
        """See `Store.revoke_key`."""
        names = [self._names.store, self._names.api_keys]
        while True:  # until no other client has changed the key between reading and writing it
            body = self._execute("HGET", self._names.api_keys, key_id)
            key = None if body is None else decode(body, ApiKey)
            if key is None or key.revoked_at_s is not None:
                return key
            revoked = replace(key, revoked_at_s=at_s)
            reply = self._write(
                "replace_key", names, self._names.changed, key_id, body, encode(revoked), check_with=_CHECK_WITH
            )
            if reply[0] == "replaced":
                return revoked
