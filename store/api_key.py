"""The record that a store keeps of an API key. It never holds the key itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One API key as it was created. Only `revoked_at_s` ever changes, and only once.

    `digest` is the hash by which a presented key is recognised. `routes` limits all scopes to these routes; None means
    no limit. Times are seconds since the epoch. Without `rate_per_s` the key has no rate limit.
    """

    id: str
    name: str
    digest: bytes
    scopes: tuple[str, ...]
    created_at_s: float
    created_by: str
    routes: tuple[str, ...] | None = None
    rate_per_s: float | None = None
    burst: float = 1.0
    expires_at_s: float | None = None
    revoked_at_s: float | None = None
