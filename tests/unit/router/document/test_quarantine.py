"""A version that was taken out of traffic stays out until it is released by name."""

import pytest

from router.document.apply import apply
from router.document.commands import Abort, Declare, Release
from router.document.document import Candidate, QuarantinedVersion
from router.document.quarantine import add_to_quarantine, find_quarantined, refuse_quarantined
from router.errors import Rejected
from tests.unit.router.support import T0, V1, V2, V3

HELD = QuarantinedVersion("m", "2", "digest-2", T0, "It fails.")


@pytest.fixture
def held(declared):
    """Return a document in which arm b, of version 2, was aborted."""
    return apply(declared(a="90%", b="10%"), Abort(T0, "It fails.", arm="b", bound=V2))


def test_what_counts_is_the_content(held):
    assert held.quarantine == (HELD,)
    assert find_quarantined(held, "m", V2.digest) == HELD
    assert find_quarantined(held, "m", V3.digest) is None
    assert find_quarantined(held, "other", V2.digest) is None


def test_the_same_version_is_there_once(held):
    again = add_to_quarantine(held, model="m", candidate=Candidate("2-again", V2.digest), at_s=T0 + 1, why="Again.")
    assert again is held
    assert add_to_quarantine(held, model="m", candidate=V3, at_s=T0 + 1, why="It, too.").quarantine == (
        HELD,
        QuarantinedVersion("m", "3", "digest-3", T0 + 1, "It, too."),
    )


def test_a_release_is_by_version(held):
    both = add_to_quarantine(held, model="m", candidate=V3, at_s=T0, why="It, too.")
    released = apply(both, Release("2"))
    assert [each.version for each in released.quarantine] == ["3"]
    assert (released.slots, released.spec) == (both.slots, both.spec)


@pytest.mark.parametrize(("version", "there"), [("9", "m:2"), ("digest-2", "m:2"), ("other:2", "m:2")])
def test_what_is_not_there_is_not_released(held, version, there):
    with pytest.raises(Rejected, match=f"Version '{version}' is not in quarantine on route r; there: {there}"):
        apply(held, Release(version))


@pytest.mark.parametrize("name", ["2", "m:2", "other:2"])
def test_a_release_names_one_model_and_a_bare_version_only_if_it_is_clear_which(held, name):
    both = add_to_quarantine(held, model="other", candidate=Candidate("2", "digest-9"), at_s=T0, why="It, too.")
    if name == "2":
        with pytest.raises(
            Rejected, match=r"of several models; say which: `pointsman release r m:2` or `pointsman release r other:2`"
        ):
            apply(both, Release(name))
        return
    assert [each.name for each in apply(both, Release(name)).quarantine] == [{"m:2": "other:2", "other:2": "m:2"}[name]]
    assert apply(held, Release("m:2")).quarantine == apply(held, Release("2")).quarantine == ()


def test_where_nothing_is_nothing_is_released(declared):
    with pytest.raises(Rejected, match="there: none"):
        apply(declared(a="100%"), Release("2"))


@pytest.mark.parametrize(
    ("split", "bound", "is_refused"),
    [
        ({"a": "100%", "b": "0%"}, {"a": V1, "b": V2}, False),
        ({"a": "90%", "b": "10%"}, {"a": V1, "b": V2}, True),
        ({"a": "90%", "b": "10%"}, {"a": V1, "b": V3}, False),  # its alias names another version by now
        ({"a": "90%", "b": "10%"}, {"a": V2, "b": V3}, True),
    ],
)
def test_no_arm_gets_a_version_back_into_traffic(held, declared, split, bound, is_refused):
    document = apply(held, Declare(declared(**split).spec))
    if not is_refused:
        refuse_quarantined(document, bound)
        return
    with pytest.raises(
        Rejected, match=r"Arm [ab] would serve m:2, .*: It fails\. `pointsman release r m:2` lets it back\."
    ):
        refuse_quarantined(document, bound)


def test_nor_as_the_one_that_answers_outside_of_the_draw(held, declared):
    outside = declared(a="100%", b="0%", fallback="b", holdout="5%")
    with pytest.raises(Rejected, match="Arm b would serve m:2, which is in quarantine"):
        refuse_quarantined(apply(held, Declare(outside.spec)), {"a": V1, "b": V2})
