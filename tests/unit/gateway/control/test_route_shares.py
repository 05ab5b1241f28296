"""Each route has one owner among the machines that run, and gets another one when that one is gone or cannot."""

import pytest

from gateway.control.route_shares import RouteShares
from store.machines import SILENT_S
from tests.support.flaky_store import FlakyStore
from tests.unit.gateway.control.support_rollouts import ROLLOUT, Replica

ROUTES = [f"route-{number}" for number in range(60)]
NAMES = ("one", "two", "three")


class Cluster:
    """A store with a clock, and machines that share routes by it."""

    def __init__(self, folder) -> None:
        self.now_s = 1000.0
        self.store = FlakyStore(folder, now=lambda: self.now_s)
        self.shares = {name: RouteShares(self.store, name, lambda: self.now_s) for name in NAMES}

    def pass_time(self, after_s: float, *running: str) -> None:
        """Let time pass in which these machines look twice a second."""
        for _ in range(int(after_s / 0.5)):
            self.now_s += 0.5
            self.look(*running)

    def look(self, *running: str) -> None:
        for name in running or NAMES:
            self.shares[name].refresh(is_able=True)

    def owners(self, *running: str) -> dict[str, list[str]]:
        """Return the machines that would evaluate each route."""
        return {route: [name for name in running or NAMES if self.shares[name].owns(route)] for route in ROUTES}


@pytest.fixture
def cluster(tmp_path):
    return Cluster(tmp_path)


def test_a_machine_alone_owns_every_route_before_and_after_it_has_looked(cluster):
    one = cluster.shares["one"]
    assert all(one.owns(route) for route in ROUTES)
    cluster.look("one")
    assert (one.machines, all(one.owns(route) for route in ROUTES)) == (1, True)


def test_each_route_has_one_owner_and_each_machine_has_routes(cluster):
    cluster.look()
    cluster.look()
    owners = cluster.owners()
    assert all(len(names) == 1 for names in owners.values())
    assert {name for names in owners.values() for name in names} == set(NAMES)
    assert cluster.shares["one"].machines == 3


def test_the_routes_of_a_machine_that_dies_are_taken_over_in_time_and_no_others_move(cluster):
    cluster.pass_time(1.0)
    before = cluster.owners()
    cluster.pass_time(SILENT_S - 0.5, "one", "two")
    assert cluster.owners() == before
    cluster.pass_time(1.0, "one", "two")
    after = cluster.owners("one", "two")
    assert all(len(names) == 1 for names in after.values())
    assert all(after[route] == names for route, names in before.items() if names != ["three"])
    cluster.pass_time(1.0)
    assert cluster.owners() == before


def test_the_routes_of_a_machine_that_leaves_are_taken_over_at_the_next_look(cluster):
    cluster.pass_time(1.0)
    cluster.shares["three"].leave()
    cluster.look("one", "two")
    cluster.look("one", "two")
    assert all(len(names) == 1 for names in cluster.owners("one", "two").values())


def test_a_machine_that_serves_nothing_yet_owns_nothing_for_the_others(cluster):
    cluster.shares["three"].refresh(is_able=False)
    cluster.look("one", "two")
    cluster.look("one", "two")
    assert cluster.shares["one"].machines == 2
    cluster.look()
    cluster.shares["three"].refresh(is_able=False)
    cluster.look("one", "two")
    assert cluster.shares["two"].machines == 2


def test_a_route_that_its_owner_does_not_serve_is_taken_over_until_it_does(cluster):
    cluster.pass_time(1.0)
    (route, owner) = next((route, names[0]) for route, names in cluster.owners().items())

    def takers() -> list[str]:
        """Return who takes the route when its owner cannot, after two looks."""
        for _ in range(2):
            cluster.look()
            took = [name for name in NAMES if cluster.shares[name].takes(route, is_able=name != owner)]
        return took

    (deputy,) = takers()
    assert deputy != owner
    assert takers() == [deputy]
    for _ in range(3):
        cluster.look()
        took = [name for name in NAMES if cluster.shares[name].takes(route, is_able=True)]
    assert took == [owner]


def test_without_an_answer_of_the_store_the_owners_stay(cluster):
    cluster.pass_time(1.0)
    before = cluster.owners()
    cluster.store.is_away = True
    cluster.pass_time(5.0)
    assert cluster.owners() == before


def test_after_an_outage_no_machine_takes_over_what_the_others_own_before_they_can_speak(cluster):
    cluster.pass_time(1.0)
    before = cluster.owners()
    cluster.store.is_away = True
    cluster.pass_time(5.0)
    cluster.store.is_away = False
    cluster.pass_time(0.5, "one")
    assert [route for route, names in cluster.owners("one").items() if names] == [
        route for route, names in before.items() if names == ["one"]
    ]
    cluster.pass_time(1.0)
    assert cluster.owners() == before


def test_a_machine_that_died_in_an_outage_is_noticed_after_it(cluster):
    cluster.pass_time(1.0)
    cluster.store.is_away = True
    cluster.pass_time(5.0)
    cluster.store.is_away = False
    cluster.pass_time(SILENT_S + 1.0, "one", "two")
    assert all(len(names) == 1 for names in cluster.owners("one", "two").values())


class Two:
    """Two machines of a site, of which each has shares of its own."""

    def __init__(self, site) -> None:
        self.site = site
        self.replicas = {name: Replica(site, f"{name}-0", site.store) for name in ("one", "two")}
        self.shares = {name: RouteShares(site.store, name, lambda: site.now_s) for name in self.replicas}
        for name, replica in self.replicas.items():
            replica.driver._shares = self.shares[name]  # a replica of the other tests is alone
        self.look()
        self.look()
        (self.owner,) = (name for name, shares in self.shares.items() if shares.owns("r"))
        (self.other,) = self.replicas.keys() - {self.owner}

    def look(self, *names: str) -> None:
        """Let machines look once, after half a second."""
        self.site.now_s += 0.5
        for name in names or self.replicas:
            self.shares[name].refresh(is_able=True)
            self.replicas[name].reader.read_all()
            self.replicas[name].driver.tick(self.site.now_s)


def fail(site) -> None:
    site.count("stable", 100)
    site.count("canary", 12, errors=8)


def test_only_the_owner_reads_the_sums_of_a_route(site):
    site.begin()
    two = Two(site)
    fail(site)
    site.store.asked.clear()
    two.look(two.other)
    assert not {"sums", "recent_sums", "counted_since", "advance"} & set(site.store.asked)
    assert site.stands()[0] == "PROGRESSING"
    two.look(two.owner)
    assert site.what() == ["apply", "start", "abort canary: errors"]


def test_a_bad_arm_goes_when_its_owner_has_died(site):
    site.begin()
    two = Two(site)
    fail(site)
    for _ in range(int(SILENT_S / 0.5) - 1):
        two.look(two.other)
    assert site.stands()[0] == "PROGRESSING"
    two.look(two.other)
    assert site.what() == ["apply", "start", "abort canary: errors"]
    two.look()
    assert site.what() == ["apply", "start", "abort canary: errors"]


def test_two_that_evaluate_at_once_make_each_change_once(site):
    site.begin()
    two = Two(site)
    two.shares[two.other]._machines = {two.other: frozenset()}  # as after it was suspended
    two.shares[two.other]._owners.clear()
    fail(site)
    for replica in two.replicas.values():
        replica.seen = site.documents()
    for replica in two.replicas.values():
        replica.driver.tick(site.now_s)
    assert site.what() == ["apply", "start", "abort canary: errors"]


def test_an_alias_is_followed_by_the_owner(site):
    site.declare(ROLLOUT)
    two = Two(site)
    two.look()
    site.point(champion="2", challenger="2")
    two.look(two.other)
    assert site.what() == ["apply"]
    two.look(two.owner)
    assert site.what() == ["apply", "follow stable to 2"]


def test_an_alias_is_followed_by_another_machine_if_the_owner_runs_and_does_not_follow(site):
    site.declare(ROLLOUT)
    two = Two(site)
    two.look()
    site.point(champion="2", challenger="2")
    for number in range(11):
        assert site.what() == ["apply"], number
        two.shares[two.owner].refresh(is_able=True)
        two.look(two.other)
    assert site.what() == ["apply", "follow stable to 2"]
