"""Scopes, and which of them a caller holds on which routes.

    predict   request predictions from a route
    reward    report rewards for a route's decisions
    read      see documents, status, metadata, metrics
    operate   change documents: declare, shift, start, pause, ...

No scope implies another one: a program that shifts weights need not see what other routes do. An operator at a
terminal needs a key with `operate` and `read`. What concerns no single route (the list of routes, the metrics) needs a
scope that is not limited to routes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.errors import Forbidden

SCOPES = ("predict", "reward", "read", "operate")

Grants = Mapping[str, frozenset[str] | None]
"""The routes that each scope holds on; None for all routes."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a valid key or token. `name` is the name in the history.

    `id` is that of the key, or the subject of the token, which may be empty.
    """

    name: str
    grants: Grants
    id: str = ""

    def may(self, scope: str, route: str | None) -> bool:
        """Return True if the caller holds the scope on the route. None stands for what concerns no single route."""
        routes = self.grants.get(scope, frozenset())
        return routes is None or route in routes

    def require(self, scope: str, route: str | None) -> None:
        """Raise unless the caller holds the scope on the route.

        Raises:
            Forbidden: the caller does not; the sentence says what is missing.
        """
        routes = self.grants.get(scope, frozenset())
        if routes is None or route in routes:
            return
        raise self._lacks(scope, f"on route {route}" if route is not None else "on what concerns all routes")

    def require_on_some_route(self, scope: str) -> None:
        """Raise unless the caller holds the scope on at least one route.

        Raises:
            Forbidden: the caller does not; the sentence says what is missing.
        """
        if scope not in self.grants:
            raise self._lacks(scope, "on any route")

    def _lacks(self, scope: str, where: str) -> Forbidden:
        return Forbidden(
            f"The {self.name} has no scope {scope} {where}; it has {describe(self.grants)}. "
            "Ask an operator for one that has it."
        )


def read_grants(scopes: Iterable[str], routes: Iterable[str] | None) -> Grants:
    """Return the grants of scopes such as `predict` (every route) and `predict:fraud` (one route).

    `routes` limits all of them; None is no limit. Other words grant nothing: tokens carry scopes of other services too.
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
    """Return the grants in words, such as `predict on fraud; read`."""
    words = [scope if routes is None else f"{scope} on {', '.join(sorted(routes))}" for scope, routes in grants.items()]
    return "; ".join(words) or "no scope at all"
