"""A route with a `check` follows an alias once the version has answered requests of the log as it must."""

import threading

import pytest

from gateway.control.asked_versions import AskedVersions
from registry_sync.background import in_daemon_thread
from router.spec.spec import CheckSpec
from runtimes.errors import ModelRefused
from tests.support import linear
from tests.support.polling import PATIENCE_S, wait_until
from tests.unit.gateway.control.support_rollouts import ROLLOUT, SPLIT

CHECK = {"logged": 50}
ALIASES = {"stable": "linear@champion", "b": "linear@challenger"}


class Checks:
    """Checks that end when they may, and what they find by version."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, CheckSpec, str]] = []
        self.passed: set[str] = set()
        self.differs: set[str] = set()
        self.may_end = threading.Event()

    def ask(self, route, check, key) -> None:
        self.asked.append((route, check, key.version))
        assert self.may_end.wait(PATIENCE_S)
        if key.version in self.differs:
            raise ModelRefused("Its answers differ.")
        self.passed.add(key.version)

    def has_passed(self, route, check, key) -> bool:  # noqa: ARG002
        return key.version in self.passed


@pytest.fixture
def checks(site):
    """Have the site's versions asked."""
    linear.publish(site.registry, "linear", "3", 3 * linear.WEIGHTS["1"])
    made = Checks()
    site.replica.require = AskedVersions(made.ask, made.has_passed, in_daemon_thread).require
    yield made
    made.may_end.set()


def bound(site, route: str = "s") -> dict[str, str]:
    return {name: each.version for name, each in site.document(route).bound.items()}


def waits(site, route: str = "s") -> str:
    return site.driver._follower.waits.get(route, "")


def test_the_alias_is_followed_when_the_version_has_answered_and_nothing_waits_for_it(site, checks):
    site.declare(SPLIT, arms=ALIASES, check=CHECK)
    site.tick()
    site.point(champion="3", challenger="2")
    site.tick()
    assert bound(site) == {"stable": "1", "b": "2"}
    assert "It is not followed yet: linear:3 is asked requests of the log since" in waits(site)
    checks.may_end.set()
    wait_until(lambda: site.tick() or bound(site) == {"stable": "3", "b": "2"})
    assert checks.asked == [("s", CheckSpec(50), "3")]
    assert waits(site) == ""


def test_a_version_that_differs_too_often_is_not_followed_and_the_reason_is_said(site, checks):
    checks.differs.add("3")
    checks.may_end.set()
    site.declare(SPLIT, arms=ALIASES, check=CHECK)
    site.tick()
    site.point(champion="3", challenger="2")
    wait_until(lambda: site.tick() or "It is not followed yet: Its answers differ." in waits(site))
    assert bound(site) == {"stable": "1", "b": "2"}


def test_a_rollout_by_alias_begins_after_the_version_has_answered(site, checks):
    arms = {"stable": "linear@champion", "canary": "linear@champion"}
    site.declare(ROLLOUT, arms=arms, rollout={**ROLLOUT["rollout"], "starts": "by_alias"}, check=CHECK)
    site.tick()
    site.point(champion="3")
    site.tick()
    assert bound(site, "r") == {"stable": "1", "canary": "1"}
    checks.may_end.set()
    wait_until(lambda: site.tick() or bound(site, "r")["canary"] == "3")


def test_what_the_route_serves_or_served_before_and_shadows_are_not_asked(site, checks):
    site.point(champion="1", challenger="2", shadow="1")
    site.declare(SPLIT, arms=ALIASES, check=CHECK, shadow=[{"arm": "linear@shadow"}])
    site.tick()
    site.point(champion="2", challenger="2", shadow="3")
    site.tick()
    assert bound(site) == {"stable": "2", "b": "2", "linear@shadow": "3"}
    site.point(champion="1", challenger="2", shadow="3")  # back to what the arm was bound to before
    site.tick(after_s=30)
    assert bound(site)["stable"] == "1"
    assert checks.asked == []


def test_without_a_check_nothing_is_asked(site, checks):
    site.declare(SPLIT, arms=ALIASES)
    site.tick()
    site.point(champion="3", challenger="2")
    site.tick()
    assert (bound(site)["stable"], checks.asked) == ("3", [])
