"""A registry that is gone, hangs, answers wrongly or lacks what serves: nothing that serves changes, and it is said.

The table is registries x faults. In each cell requests are under way, the companion is killed and, where the machine
has a copy of the registry, the gateway is started anew before the registry comes back.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from tests.integration.support_registries import Followed, open_site
from tests.support.components import by_hand
from tests.support.gateway_process import running
from tests.support.registry_sites import Site, times

SPLIT = {"a": "50%", "b": "50%"}
ROUTES = {
    "follows": {"arms": {"a": "one@champion", "b": "one@challenger"}, "split": SPLIT},
    "named": {"arms": {"a": "one:1", "b": "two:1"}, "split": SPLIT},
    "apart": {"arms": {"a": "two@champion"}, "split": {"a": "100%"}, "placement": "process"},
}
FAULTS = {
    "directory": ("killed", "empty", "lacking"),
    "s3": ("killed", "hanging", "500", "empty", "lacking"),
    "mlflow": ("killed", "hanging", "500", "html", "empty", "lacking"),
}
IN_LISTING = ("empty", "lacking")
STARTED_ANEW = {"directory": (), "s3": ("killed", "empty"), "mlflow": ("hanging",)}
"""The faults during which the gateway is started anew. Without its directory it could not load its models."""


@pytest.fixture(params=["directory", "s3", by_hand("mlflow")])
def kind(request) -> str:
    return str(request.param)


@pytest.fixture
def served(kind, request, tmp_path) -> Iterator[Followed]:
    site = open_site(kind, request, tmp_path, tmp_path.name)
    for model, version in (("one", "1"), ("one", "2"), ("two", "1")):
        site.publish(model, version, times(float(version)))
    for model, alias, version in (("one", "champion", "1"), ("one", "challenger", "2"), ("two", "champion", "1")):
        site.point(model, alias, version)
    made = Followed(site, tmp_path / "var")
    with running(made.gateway):
        for route, spec in ROUTES.items():
            made.gateway.declare({"route": route, **spec})
        yield made
    site.close()


def fault_of(site: Site, fault: str) -> AbstractContextManager[None]:
    if fault == "empty":
        return site.without("one", "two")
    return site.without("one") if fault == "lacking" else site.broken(fault)


def state(served: Followed) -> dict[str, object]:
    return {route: (served.status(route)["version"], served.serves(route), served.history(route)) for route in ROUTES}


def is_said(served: Followed, fault: str) -> bool:
    """Return True if `status` and the metrics say that there is a fault."""
    served.hurry()
    if not served.warnings("follows") or served.metric("pointsman_routes_with_warnings") < 1:
        return False
    if served.site.proxy is None:
        return True
    if fault in IN_LISTING:
        return served.metric("pointsman_registry_gone_versions") > 0
    return served.metric("pointsman_registry_reachable") == 0.0


def is_well(served: Followed) -> bool:
    """Return True if nothing says that there is a fault."""
    served.hurry()
    figures = {"pointsman_routes_with_warnings": 0.0}
    if served.site.proxy is not None:
        figures |= {"pointsman_registry_reachable": 1.0, "pointsman_registry_gone_versions": 0.0}
    return all(served.metric(name) == value for name, value in figures.items()) and not any(
        served.warnings(route) for route in ROUTES
    )


@pytest.mark.timeout(600)
def test_nothing_that_serves_changes(served, kind):
    served.wait(lambda: is_well(served))
    before = state(served)
    for fault in FAULTS[kind]:
        loads = []
        with fault_of(served.site, fault):
            with served.load(*ROUTES) as load:
                loads.append(load)
                served.wait(lambda: is_said(served, fault))  # noqa: B023  # it is over before the next fault
                served.kill_companion()
                served.wait(lambda: is_said(served, fault))  # noqa: B023
            if fault in STARTED_ANEW[kind]:
                assert served.gateway.end() == 0
                served.gateway.start()
            with served.load(*ROUTES) as load:
                loads.append(load)
                served.wait(lambda: is_said(served, fault))  # noqa: B023
        served.wait(lambda: is_well(served))
        assert state(served) == before, fault
        for load in loads:
            found = {route: {seen.version for seen in each.seen} for route, each in load.items()}
            assert found["follows"] <= {"1", "2"}, fault
            assert (found["named"], found["apart"]) == ({"1"}, {"1"}), fault
    served.site.point("one", "champion", "2")
    served.wait(lambda: served.serves("follows") == {"a": "2", "b": "2"})
