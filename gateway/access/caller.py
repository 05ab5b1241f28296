"""Scopes, and who holds which of them on which routes. Decides.

    predict   ask a route for predictions
    reward    report rewards for a route's decisions
    read      see documents, status, metadata, metrics
    operate   change documents: declare, shift, start, pause, ...

No scope implies another one: who shifts weights by program need not see what other routes do, and whoever operates
at a terminal takes `operate` and `read`. What concerns no single route (the list of routes, the metrics) needs a
scope that is not limited to routes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.errors import Forbidden

SCOPES = ("predict", "reward", "read", "operate")

Grants = Mapping[str, frozenset[str] | None]
"""Scope -> the routes it holds on; None for all of them."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who has shown who he is; `name` is what the history calls him."""

    name: str
    grants: Grants

    def may(self, scope: str, route: str | None) -> bool:
        """Whether he may do this on that route (None: on what concerns no single route)."""
        routes = self.grants.get(scope, frozenset())
        return routes is None or route in routes

    def require(self, scope: str, route: str | None) -> None:
        """Returns if he may.

        Raises:
            Forbidden: he may not; the sentence says what he lacks.
        """
        routes = self.grants.get(scope, frozenset())
        if routes is None or route in routes:
            return
        where = f"on route {route}" if route is not None else "on what concerns all routes"
        raise Forbidden(
            f"The {self.name} has no scope {scope} {where}; it has {describe(self.grants)}. "
            "Ask an operator for one that has it."
        )


def read_grants(scopes: Iterable[str], routes: Iterable[str] | None) -> Grants:
    """Grants of scopes such as `predict` (every route) and `predict:fraud` (one), all within `routes` (None: any).

    Words that are no scope of ours grant nothing: tokens carry other services' scopes too.
    """
    limit = None if routes is None else frozenset(routes)
    granted: dict[str, frozenset[str] | None] = {}
    for written in scopes:
        scope, colon, route = written.partition(":")
        if scope not in SCOPES:
            continue
        before = granted.get(scope, frozenset())
        if before is None:
            continue
        if colon:
            wanted = frozenset([route])
            granted[scope] = before | (wanted if limit is None else wanted & limit)
        else:
            granted[scope] = limit if limit is None else before | limit
    return {scope: held for scope, held in granted.items() if held is None or held}


def describe(grants: Grants) -> str:
    """`predict on fraud, read`."""
    said = [scope if routes is None else f"{scope} on {', '.join(sorted(routes))}" for scope, routes in grants.items()]
    return "; ".join(said) or "no scope at all"
