"""What a replica says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Report:
    """The state of one replica, reported by itself. `routes` maps each route to the document version it serves.

    `problems` and `warnings` are by route. A route with a warning is served, but some part of it is missing. `trouble`
    says what is wrong with the store, as the replica sees it. `versions` says for each version that serves, such as
    `fraud:17`, that its requests are batched, or why not. `policies` maps each bandit to the number of the learned
    policy that it serves.
    """

    replica: str
    pid: int
    at_s: float
    started_s: float
    snapshot_hash: str
    routes: Mapping[str, int] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    policies: Mapping[str, int] = field(default_factory=dict)
