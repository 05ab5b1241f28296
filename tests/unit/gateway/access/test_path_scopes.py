"""The scope that each path needs."""

import functools

import pytest

from gateway.access.path_scopes import RULES, PathScope, scope_for
from tests.unit.gateway.api.operators.support import bare_app


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/v2/health/live", None),
        ("GET", "/v2/health/ready", None),
        ("GET", "/-/healthz", None),
        ("HEAD", "/v2/health/live", None),
        ("POST", "/v2/health/live", PathScope("operate")),
        ("GET", "/v2/health/live/", PathScope("read")),
        ("GET", "/v2/health/../../api/routes", PathScope("read")),
        ("GET", "/v2", PathScope("read")),
        ("GET", "/v2/models/fraud", PathScope("read", "fraud")),
        ("GET", "/v2/models/fraud/versions/3/ready", PathScope("read", "fraud")),
        ("GET", "/v2/models", PathScope("read")),
        ("GET", "/v2/models/stats", PathScope("read")),
        ("GET", "/v2/models/fraud/stats", PathScope("read", "fraud")),
        ("GET", "/v1/models/fraud", PathScope("read", "fraud")),
        ("GET", "/v1/models", PathScope("read")),
        ("POST", "/v2/models/fraud/infer", PathScope("predict", "fraud")),
        ("POST", "/v2/models/fraud/versions/3/infer/", PathScope("predict", "fraud")),
        ("POST", "/v1/models/fraud:predict", PathScope("predict", "fraud")),
        ("POST", "/invocations", PathScope("predict")),
        ("GET", "/version", PathScope("read")),
        ("POST", "/v2/models/fraud/load", PathScope("operate", "fraud")),
        ("POST", "/v2/repository/index", PathScope("read")),
        ("POST", "/v2/repository/models/fraud/load", PathScope("operate")),
        ("POST", "/v2/rewards", PathScope("reward", routes_in_body=True)),
        ("GET", "/v2/rewards", PathScope("read")),
        ("GET", "/api/routes", PathScope("read")),
        ("GET", "/api/routes/fraud", PathScope("read", "fraud")),
        ("GET", "/api/routes/fraud/history", PathScope("read", "fraud")),
        ("PUT", "/api/routes/fraud", PathScope("operate", "fraud")),
        ("POST", "/api/routes/fraud/shift", PathScope("operate", "fraud")),
        ("POST", "/api/routes/fraud/abort", PathScope("operate", "fraud")),
        ("POST", "/api/routes/", PathScope("operate")),
        ("POST", "/api/apply", PathScope("operate", routes_in_body=True)),
        ("POST", "/api/apply/", PathScope("operate")),
        ("POST", "/api/restore", PathScope("operate")),
        ("GET", "/api/audit", PathScope("read")),
        ("DELETE", "/api/keys/x", PathScope("operate")),
        ("GET", "/api/status", PathScope("read")),
        ("GET", "/metrics", PathScope("read")),
        ("GET", "/docs", PathScope("read")),
        ("GET", "/openapi.json", PathScope("read")),
        ("GET", "/console", PathScope("read")),
        ("GET", "/", PathScope("read")),
        ("POST", "/", PathScope("operate")),
        ("GET", "", PathScope("read")),
        ("MADE-UP", "/api/routes/fraud\n", PathScope("operate", "fraud\n")),
        ("POST", "/nowhere\n/v2/health/live", PathScope("operate")),
        ("POST", "//v2/health/live", PathScope("operate")),
        ("get", "/api/routes/fraud", PathScope("operate", "fraud")),
    ],
)
def test_a_path_needs_a_scope(method, path, needed):
    assert scope_for(method, path) == needed


@functools.cache
def served_paths() -> dict:
    return bare_app().openapi()["paths"]


def test_only_health_and_a_signed_webhook_need_no_credential():
    paths = served_paths()
    operations = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    assert len(operations) > 10
    open_paths = {path for method, path in operations if scope_for(method, path) is None}
    assert open_paths == {"/-/healthz", "/v2/health/live", "/v2/health/ready", "/ping", "/api/registry/webhook"}


def test_a_change_needs_more_than_read():
    paths = served_paths()
    for path, methods in paths.items():
        for method in set(methods) - {"get"}:
            if path not in ("/v2/repository/index", "/api/registry/webhook"):
                assert scope_for(method.upper(), path).scope != "read"


def test_each_rule_matches_a_path_that_is_served():
    paths = [*served_paths(), "/docs", "/openapi.json"]
    unserved = [rule.path.pattern for rule in RULES if not any(map(rule.path.fullmatch, paths))]
    assert unserved == []
