"""An alias that moves again and again is followed less and less often, and in the end always."""

from bisect import bisect_left
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from router.document.apply import apply
from router.document.commands import Declare
from router.document.document import Candidate, Document
from router.document.follow import Named, following
from router.spec.parse import parse_spec

MOST_IN_AN_HOUR = 17
LOOK_S = 2.0
SPLIT: dict[str, Any] = {"route": "r", "arms": {"a": "m@champion"}, "split": {"a": "100%"}}
VERSIONS = [Candidate(str(number), f"digest-{number}") for number in range(4)]

changes = st.lists(
    st.tuples(
        st.sampled_from([0.1, 1.0, 11.0, 21.0, 45.0, 90.0, 170.0, 320.0, 700.0, 4000.0]), st.sampled_from(VERSIONS)
    ),
    max_size=120,
)


def run(moves: list[tuple[float, Candidate]], rest_s: float, restarts: frozenset[int] = frozenset()):
    """Look every two seconds, as the companion does. Return when the binding moved, and the last document."""
    document = apply(None, Declare(parse_spec(SPLIT), 0.0, {"a": VERSIONS[0]}))
    times, now_s = [], 0.0
    named, since_s, at_s = VERSIONS[0], 0.0, 0.0
    schedule: list[tuple[float, Candidate]] = []
    for after_s, version in moves:
        at_s += after_s
        schedule.append((at_s, version))
    index, looks, end_s = 0, 0, at_s + rest_s
    while now_s < end_s:
        now_s, looks = now_s + LOOK_S, looks + 1
        before = named
        while index < len(schedule) and schedule[index][0] <= now_s:
            named, index = schedule[index][1], index + 1
        if named != before or looks in restarts:  # a companion that begins does not know since when
            since_s = now_s
        due = following(document, {"a": Named(named, {}, since_s)}, now_s).due
        if due:
            document = apply(document, due[0].command)
            times.append(now_s)
    return times, document, named


def most_in_an_hour(times: list[float]) -> int:
    return max((bisect_left(times, start + 3600.0) - index for index, start in enumerate(times)), default=0)


@settings(max_examples=60, deadline=None)
@given(changes, st.frozensets(st.integers(1, 2000), max_size=20))
def test_an_alias_is_followed_a_limited_number_of_times_in_any_hour_and_reaches_what_it_names(moves, restarts):
    times, document, named = run(
        moves, 320.0, frozenset(each for each in restarts if each < sum(m[0] for m in moves) / 2)
    )
    assert most_in_an_hour(times) <= MOST_IN_AN_HOUR
    assert document.bound["a"] == named


def test_an_alias_that_moves_as_often_as_it_may_is_followed_seventeen_times_an_hour():
    waits_s = [0.0, 10.0, 20.0, 40.0, 80.0, 160.0, *[300.0] * 30]
    moves = [(wait_s + 3.0, VERSIONS[index % 2 + 1]) for index, wait_s in enumerate(waits_s)]
    times, _, _ = run(moves, 320.0)
    assert 15 <= most_in_an_hour(times) <= MOST_IN_AN_HOUR


def test_the_first_move_is_made_at_once_and_the_next_ones_later_and_later():
    def due(document: Document, version: Candidate, now_s: float, since_s: float) -> bool:
        return bool(following(document, {"a": Named(version, {}, since_s)}, now_s).due)

    document = apply(None, Declare(parse_spec(SPLIT), 0.0, {"a": VERSIONS[0]}))
    now_s = 5000.0
    for wait_s in (0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0):
        version = VERSIONS[1] if document.bound["a"] == VERSIONS[2] else VERSIONS[2]
        since_s = now_s
        if wait_s:
            assert not due(document, version, now_s + wait_s - 0.1, since_s)
        now_s += wait_s
        assert due(document, version, now_s, since_s)
        document = apply(document, following(document, {"a": Named(version, {}, since_s)}, now_s).due[0].command)
    assert len(document.followed["a"].moves_s) == 6
    said = following(document, {"a": Named(VERSIONS[0], {}, now_s)}, now_s).waits
    assert said[0].endswith("because the alias moves often: it must name the same version for 5m.")


def test_a_clock_that_was_ahead_delays_no_alias():
    document = apply(None, Declare(parse_spec(SPLIT), 0.0, {"a": VERSIONS[0]}))
    for version, at_s in ((1, 1000.0), (2, 3000.0)):  # the second one by a clock that is 2000 seconds ahead
        (due, *_) = following(document, {"a": Named(VERSIONS[version], {}, 0.0)}, at_s).due
        document = apply(document, due.command)
    moved_back = {"a": Named(VERSIONS[3], {}, 1002.0)}
    assert following(document, moved_back, 1011.0).due == ()
    assert [each.what for each in following(document, moved_back, 1012.0).due] == ["follow a to 3"]
