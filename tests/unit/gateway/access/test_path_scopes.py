"""Which scope each path needs."""

import pytest

from gateway.access.path_scopes import Need, need
from tests.unit.gateway.api.operators.support import bare_app


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        ("GET", "/v2/health/live", None),
        ("GET", "/v2/health/ready", None),
        ("GET", "/-/healthz", None),
        ("HEAD", "/v2/health/live", None),
        ("POST", "/v2/health/live", Need("operate")),
        ("GET", "/v2/health/live/", Need("read")),
        ("GET", "/v2/health/../../api/routes", Need("read")),
        ("GET", "/v2", Need("read")),
        ("GET", "/v2/models/fraud", Need("read", "fraud")),
        ("GET", "/v2/models/fraud/versions/3/ready", Need("read", "fraud")),
        ("GET", "/v2/models", Need("read")),
        ("GET", "/v2/models/stats", Need("read")),
        ("GET", "/v2/models/fraud/stats", Need("read", "fraud")),
        ("GET", "/v1/models/fraud", Need("read", "fraud")),
        ("GET", "/v1/models", Need("read")),
        ("POST", "/v2/models/fraud/infer", Need("predict", "fraud")),
        ("POST", "/v2/models/fraud/versions/3/infer/", Need("predict", "fraud")),
        ("POST", "/v1/models/fraud:predict", Need("predict", "fraud")),
        ("POST", "/v2/models/fraud/load", Need("operate", "fraud")),
        ("POST", "/v2/repository/index", Need("read")),
        ("POST", "/v2/repository/models/fraud/load", Need("operate")),
        ("POST", "/v2/rewards", Need("reward", route_later=True)),
        ("GET", "/v2/rewards", Need("read")),
        ("GET", "/api/routes", Need("read")),
        ("GET", "/api/routes/fraud", Need("read", "fraud")),
        ("GET", "/api/routes/fraud/history", Need("read", "fraud")),
        ("PUT", "/api/routes/fraud", Need("operate", "fraud")),
        ("POST", "/api/routes/fraud/shift", Need("operate", "fraud")),
        ("POST", "/api/routes/fraud/abort", Need("operate", "fraud")),
        ("POST", "/api/routes/", Need("operate")),
        ("POST", "/api/apply", Need("operate", route_later=True)),
        ("POST", "/api/apply/", Need("operate")),
        ("POST", "/api/restore", Need("operate")),
        ("GET", "/api/audit", Need("read")),
        ("DELETE", "/api/keys/x", Need("operate")),
        ("GET", "/api/status", Need("read")),
        ("GET", "/metrics", Need("read")),
        ("GET", "/docs", Need("read")),
        ("GET", "/openapi.json", Need("read")),
        ("GET", "/console", Need("read")),
        ("GET", "/", Need("read")),
        ("POST", "/", Need("operate")),
        ("GET", "", Need("read")),
        ("MADE-UP", "/api/routes/fraud\n", Need("operate", "fraud\n")),
        ("POST", "/nowhere\n/v2/health/live", Need("operate")),
        ("POST", "//v2/health/live", Need("operate")),
        ("get", "/api/routes/fraud", Need("operate", "fraud")),
    ],
)
def test_a_path_needs(method, path, wanted):
    assert need(method, path) == wanted


def test_only_health_is_open_of_all_that_the_application_answers():
    paths = bare_app().openapi()["paths"]
    operations = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    assert len(operations) > 10
    opened = {path for method, path in operations if need(method, path) is None}
    assert opened == {"/-/healthz", "/v2/health/live", "/v2/health/ready"}


def test_whoever_changes_something_needs_more_than_read():
    paths = bare_app().openapi()["paths"]
    for path, methods in paths.items():
        for method in set(methods) - {"get"}:
            if path != "/v2/repository/index":
                assert need(method.upper(), path).scope != "read"
