"""The scope that each path of the FastAPI application needs, in one table.

Predictions do not come through this application: `InferenceService` calls the guard for them. Their paths are in the
table for the OpenAPI document.

A path that is not in the table needs `read` for safe methods and `operate` for others. So a path that is added and
forgotten here is closed rather than open.
"""

import re
from typing import NamedTuple

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class PathScope(NamedTuple):
    """A scope, on a route if the path names one. If `routes_in_body`, the handler checks the routes that it reads."""

    scope: str
    route: str | None = None
    routes_in_body: bool = False


class Rule(NamedTuple):
    """The scopes that safe methods and other methods need on the paths that match; None if they need no credential."""

    path: re.Pattern[str]
    safe: str | None
    other: str | None
    routes_in_body: bool = False


def _rule(path: str, safe: str | None, other: str | None, *, routes_in_body: bool = False) -> Rule:
    return Rule(re.compile(path, re.DOTALL), safe, other, routes_in_body)


_ROUTE = r"(?P<route>[^/]+)"

RULES = (
    _rule(r"/-/healthz", None, "operate"),
    _rule(r"/v2/health/(live|ready)|/ping", None, "operate"),
    _rule(rf"/api/routes/{_ROUTE}(/.*)?", "read", "operate"),
    _rule(r"/api/registry/webhook", "read", None),  # the signature of the message is its credential
    _rule(r"/api/apply", "read", "operate", routes_in_body=True),
    _rule(r"/api(/.*)?", "read", "operate"),  # a restore changes every route and key, so it needs `operate` on all
    _rule(r"/v2/rewards", "read", "reward", routes_in_body=True),
    _rule(r"/v2/repository/index", "read", "read"),
    _rule(r"/v2/models/stats", "read", "operate"),
    _rule(rf"/v2/models/{_ROUTE}(/versions/[^/]+)?/infer/?", "read", "predict"),
    _rule(rf"/v1/models/{_ROUTE}:predict/?", "read", "predict"),
    _rule(r"/invocations", "read", "predict"),
    _rule(rf"/v[12]/models/{_ROUTE}(/.*)?", "read", "operate"),
    _rule(r"/(metrics|docs|openapi\.json|version|v2)(/.*)?", "read", "operate"),
)
_DEFAULT = _rule(r".*", "read", "operate")


def scope_for(method: str, path: str) -> PathScope | None:
    """Return the scope that a request needs, or None if it needs no credential.

    The first rule that matches the whole path counts.
    """
    for rule in (*RULES, _DEFAULT):
        match = rule.path.fullmatch(path)
        if match is not None:
            is_safe = method in _SAFE_METHODS
            scope = rule.safe if is_safe else rule.other
            if scope is None:
                return None
            return PathScope(scope, match.groupdict().get("route"), rule.routes_in_body and not is_safe)
    raise AssertionError("The last rule matches every path.")
