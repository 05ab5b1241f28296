"""What a store keeps of an API key: never the key itself. Decides."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key as it was made. Only `revoked_at_s` ever changes, and only once.

    `digest` is what the key itself is recognised by. `routes` limits all scopes to these routes; None limits nothing.
    Times are seconds since the epoch. Without `rate_per_s` the key may be used as often as one likes.
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
