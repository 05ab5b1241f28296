"""Every machine finds the same owners, routes are spread evenly, and few of them move."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from router.rendezvous import owner_of, score

ROUTES = [f"route-{number:04}" for number in range(1000)]
MACHINES = [f"ip-10-0-{number // 250}-{number % 250}-1a2b3c4d" for number in range(250)]

_NAMES = st.sets(st.text(max_size=8), min_size=1, max_size=8)


@given(st.text(max_size=12), _NAMES, st.randoms())
def test_the_order_of_the_machines_does_not_matter(route, machines, random):
    shuffled = list(machines)
    random.shuffle(shuffled)
    assert owner_of(route, shuffled) == owner_of(route, sorted(machines)) in machines


@given(st.text(max_size=12), _NAMES, st.text(max_size=8))
def test_a_route_moves_only_to_a_machine_that_comes_and_from_one_that_leaves(route, machines, other):
    before, after = owner_of(route, machines - {other}), owner_of(route, machines | {other})
    assert after in (before, other)
    if before is not None:
        assert owner_of(route, {before, after}) == after


def test_without_machines_there_is_no_owner():
    assert owner_of("fraud", []) is None


def test_routes_are_spread_evenly():
    """Of 25 machines each owns 40 routes on average, with a standard deviation of 6.2."""
    owned = Counter(owner_of(route, MACHINES[:25]) for route in ROUTES)
    assert len(owned) == 25
    assert all(40 - 4 * 6.2 < count < 40 + 4 * 6.2 for count in owned.values())


def test_a_machine_that_leaves_leaves_its_routes_to_many():
    before = {route: owner_of(route, MACHINES) for route in ROUTES}
    busiest, count = Counter(before.values()).most_common(1)[0]
    left = [machine for machine in MACHINES if machine != busiest]
    after = {route: owner_of(route, left) for route in ROUTES}
    moved = [route for route in ROUTES if before[route] != after[route]]
    assert moved == [route for route in ROUTES if before[route] == busiest]
    assert len({after[route] for route in moved}) > count // 2


def test_the_scores_are_what_every_version_computes():
    """Machines of two versions of the gateway share routes during an upgrade."""
    assert [score("fraud", "one"), score("fraud", "two")] == [4845099452410664270, 17797267749965258580]
    assert score("b", "a") != score("", "ab") != score("ab", "")
