"""Which scope a path needs: one table for everything that the FastAPI application answers. Decides.

Predictions do not come by here: the doors ask the guard themselves. What is not in the table needs `read` to be
looked at and `operate` to be changed, so a path that is added and forgotten here is closed rather than open.
"""

import re
from typing import NamedTuple

LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})


class PathScope(NamedTuple):
    """A scope, on a route if the path names one. `route_later`: the handler asks, once it knows the routes."""

    scope: str
    route: str | None = None
    route_later: bool = False


class _Rule(NamedTuple):
    """`look` is what GET needs, `change` what other methods need; None is nothing."""

    path: re.Pattern[str]
    look: str | None
    change: str | None
    route_later: bool = False


def _rule(path: str, look: str | None, change: str | None, *, route_later: bool = False) -> _Rule:
    return _Rule(re.compile(path, re.DOTALL), look, change, route_later)


_ROUTE = r"(?P<route>[^/]+)"

RULES = (
    _rule(r"/-/healthz", None, "operate"),
    _rule(r"/v2/health/(live|ready)", None, "operate"),
    _rule(rf"/api/routes/{_ROUTE}(/.*)?", "read", "operate"),
    _rule(r"/api/apply", "read", "operate", route_later=True),  # its body names the routes
    _rule(r"/api/restore", "read", "operate"),  # every route and every key, so `operate` on all of them
    _rule(r"/api(/.*)?", "read", "operate"),
    _rule(r"/v2/rewards", "read", "reward", route_later=True),
    _rule(r"/v2/repository/index", "read", "read"),
    _rule(r"/v2/models/stats", "read", "operate"),
    _rule(rf"/v2/models/{_ROUTE}(/versions/[^/]+)?/infer/?", "read", "predict"),
    _rule(rf"/v1/models/{_ROUTE}:(predict|explain)/?", "read", "predict"),
    _rule(rf"/v[12]/models/{_ROUTE}(/.*)?", "read", "operate"),
    _rule(r"/(metrics|docs|redoc|openapi\.json|v2)(/.*)?", "read", "operate"),
)
_OTHER = _rule(r".*", "read", "operate")


def scope_for(method: str, path: str) -> PathScope | None:
    """What a request needs; None if it is open to everybody. The first rule that fits the whole path counts."""
    for rule in (*RULES, _OTHER):
        match = rule.path.fullmatch(path)
        if match is not None:
            scope = rule.look if method in LOOKING else rule.change
            later = rule.route_later and method not in LOOKING
            return None if scope is None else PathScope(scope, match.groupdict().get("route"), later)
    raise AssertionError("The last rule fits every path.")
