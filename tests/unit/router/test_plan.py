"""Which arm a request gets, in the order of the cases."""

from fractions import Fraction

import pytest

from router.compile import Pin, compile_route
from router.document.apply import apply
from router.document.commands import Abort, Release, Shift
from router.draw.assignment import bucket
from router.errors import Quarantined, UnknownVersion
from router.plan import Plan, Reason, find_version, plan
from router.snapshot import Route
from tests.unit.router.support import T0, V2, compiled

UNITS = [f"user-{number}" for number in range(10_000)]


@pytest.fixture
def route(declared):
    """Return a route of the arms a 90 % (m:1, the fallback), b 10 % (m:2), c 0 % (m@next, which is 9)."""
    arms = {"a": "m:1", "b": "m:2", "c": "m@next"}
    return compiled(declared(a="90%", b="10%", c="0%", arms=arms, fallback="a"))


def unit_of(route: Route, arm: str) -> str:
    """Return a unit whose bucket this arm owns."""
    return next(unit for unit in UNITS if route.arms[route.table[bucket(route.seed_state, unit)]].name == arm)


def test_a_pinned_version_comes_before_everything(route):
    unit = unit_of(route, "a")
    assert plan(route, "d", unit=unit, forced_arm="a", pinned_version="2") == Plan(1, (), Reason.PINNED, None)


def test_an_alias_is_pinned_like_a_version(route):
    assert plan(route, "d", pinned_version="next") == plan(route, "d", pinned_version="9")
    assert plan(route, "d", pinned_version="next").primary == 2


def test_a_forced_arm_comes_before_the_unit_and_may_have_no_weight(route):
    assert plan(route, "d", unit=unit_of(route, "a"), forced_arm="c") == Plan(2, (), Reason.FORCED, None)


@pytest.mark.parametrize("name", [{"forced_arm": "b"}, {"pinned_version": "2"}, {"pinned_version": "latest"}])
def test_a_version_in_quarantine_answers_under_no_name_until_it_is_released(declared, name):
    def compiled_with_alias(document):
        pins = {
            arm: Pin(v, f"digest-{v}", frozenset({"latest"} if v == "2" else ())) for arm, v in (("a", "1"), ("b", "2"))
        }
        return compile_route(document, pins)

    whole = declared(a="90%", b="10%", shadow=[{"arm": "b"}])
    aborted = apply(whole, Abort(T0, "It fails.", arm="b", bound=V2))
    route = compiled_with_alias(aborted)
    with pytest.raises(
        Quarantined, match=r"Version 2 is in quarantine: It fails\. `pointsman release r m:2` lets it back\."
    ):
        plan(route, "d", **name)
    assert route.shadows == ()
    assert plan(route, "d", forced_arm="a").primary == 0
    released = compiled_with_alias(apply(aborted, Release("m:2")))
    assert plan(released, "d", **name).primary == 1
    assert [shadow.name for shadow in released.shadows] == ["b"]


def test_a_unit_comes_before_the_decision_id(route):
    in_a, in_b = unit_of(route, "a"), unit_of(route, "b")
    assert plan(route, in_b, unit=in_a) == Plan(0, (), Reason.STICKY, 0.9)
    assert plan(route, in_a, unit=in_b) == Plan(1, (0,), Reason.STICKY, 0.1)


def test_without_a_unit_the_decision_id_is_drawn(route):
    assert plan(route, unit_of(route, "b")) == Plan(1, (0,), Reason.WEIGHTED, 0.1)
    assert plan(route, unit_of(route, "a")) == Plan(0, (), Reason.WEIGHTED, 0.9)


def test_an_empty_unit_is_a_unit(route):
    assert plan(route, "d", unit="").reason is Reason.STICKY


@pytest.mark.parametrize(
    ("fallback", "chains"),
    [
        (None, [(), (), ()]),
        ("b", [(1,), (), (1,)]),
        ({"a": "b"}, [(1,), (), ()]),
        ({"a": "c", "c": "b"}, [(2, 1), (), (1,)]),
    ],
)
def test_fallbacks_are_tried_one_after_the_other(declared, fallback, chains):
    route = compiled(declared(a="40%", b="30%", c="30%", fallback=fallback))
    units = [unit_of(route, arm) for arm in "abc"]
    assert [plan(route, "d", unit=unit).fallbacks for unit in units] == chains
    assert [plan(route, unit).fallbacks for unit in units] == chains


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"pinned_version": "7"}, r"Route r serves no version or alias '7'; it serves 1 \(a\), 2 \(b\), 9 \(c\)"),
        ({"pinned_version": "champion"}, "no version or alias 'champion'"),
        ({"pinned_version": ""}, "no version or alias ''"),
        ({"forced_arm": "z"}, "Route r has no arm 'z'; its arms are a, b, c"),
        ({"forced_arm": ""}, "has no arm ''"),
    ],
)
def test_what_no_arm_serves_is_refused_with_what_there_is(route, arguments, words):
    with pytest.raises(UnknownVersion, match=words):
        plan(route, "d", **arguments)


def test_a_version_is_found_by_number_or_alias_and_the_first_declared_wins(declared):
    twice = compiled(declared(a="50%", b="50%", arms={"a": "m:5", "b": "m:5"}))
    assert find_version(twice, "5").name == "a"
    with pytest.raises(UnknownVersion, match=r"it serves 5 \(a\), 5 \(b\)"):
        find_version(twice, "6")


def test_an_alias_that_two_arms_name_means_the_one_with_the_most_traffic(declared):
    """As after a promotion: the alias names the version of the arm that was rolled out."""
    promoted = compiled(declared(a="1%", b="99%", arms={"a": "m@champion", "b": "m@champion"}))
    assert find_version(promoted, "champion").name == "b"


@pytest.mark.parametrize("reason", [Reason.STICKY, Reason.WEIGHTED])
def test_the_share_of_draws_is_the_propensity(route, reason):
    drawn = [plan(route, "d", unit=key) if reason is Reason.STICKY else plan(route, key) for key in UNITS]
    # 10 % of 10,000 has a standard deviation of sqrt(10,000 * .1 * .9) = 30. The bound is 3.3 of them.
    assert 900 < sum(one.primary == 1 for one in drawn) < 1100
    assert {(one.primary, one.propensity) for one in drawn} == {(0, 0.9), (1, 0.1)}
    assert {one.reason for one in drawn} == {reason}


def test_a_unit_gets_the_same_arm_whatever_the_decision(route):
    for unit in UNITS[:100]:
        assert len({plan(route, f"decision-{number}", unit=unit) for number in range(20)}) == 1


def test_no_unit_leaves_a_canary_that_grows(declared):
    before = declared(a="90%", b="10%")
    grown = compiled(apply(before, Shift({"b": Fraction(20, 100)})))
    small = compiled(before)
    old = {unit for unit in UNITS if plan(small, "d", unit=unit).primary == 1}
    new = {unit for unit in UNITS if plan(grown, "d", unit=unit).primary == 1}
    assert old < new
    # 20 % of 10,000 has a standard deviation of sqrt(10,000 * .2 * .8) = 40. The bound is five of them.
    assert 1800 < len(new) < 2200
    assert plan(grown, "d", unit=next(iter(old))).propensity == 0.2


def test_reasons_are_spelled_as_they_are_logged():
    assert [str(reason) for reason in Reason] == [reason.name for reason in Reason]
    assert " ".join(Reason) == (
        "PINNED FORCED NOT_TARGETED OTHER_LAYER HELD_OUT STICKY WEIGHTED EVALUATED FALLBACK SHADOW"
    )


def test_any_alias_of_a_served_version_is_pinned(declared):
    arms = {"a": "m:1", "b": "m@next"}
    pins = {"a": Pin("1", "x", frozenset({"9", "next", "stable"})), "b": Pin("9", "y", frozenset({"next", "latest"}))}
    route = compile_route(declared(a="90%", b="10%", arms=arms), pins)
    found = {name: find_version(route, name).name for name in ("1", "stable", "9", "latest", "next")}
    assert found == {"1": "a", "stable": "a", "9": "b", "latest": "b", "next": "b"}  # a version, then a declared alias
    assert plan(route, "d", pinned_version="stable") == Plan(0, (), Reason.PINNED, None)
    with pytest.raises(UnknownVersion, match="'lost'"):
        find_version(route, "lost")
