"""The stored form of a document, and damaged forms that are corrupt."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.document.apply import apply
from router.document.commands import Abort, Advance, Declare, Hold, Pause, Promote, Shift, Start
from router.document.document import Candidate, Document, Followed, RolloutState
from router.document.phase import Phase
from router.document.stored import from_dict, to_dict
from router.draw.assignment import BUCKETS
from router.errors import Corrupt, Rejected
from router.spec.parse import parse_spec
from tests.support.route_specs import specs
from tests.unit.router.support import ROLLOUT, SPLIT, T0, V2

times = st.floats(0, 1e12)
shares = st.fractions(0, 1, max_denominator=BUCKETS)


def read_back(document: Document) -> Document:
    return from_dict(json.loads(json.dumps(to_dict(document))))


@given(specs(), st.lists(st.tuples(st.integers(0, 6), shares, times), max_size=5))
@settings(max_examples=80)
def test_a_document_is_stored_as_it_is_read(spec, steps):
    document = apply(None, Declare(spec, at_s=T0))
    arm = next(iter(spec.arms))
    for which, share, at_s in [(0, 0, T0), *steps]:
        command = [
            Start(V2, at_s), Advance(at_s), Hold(), Pause(), Promote(at_s), Shift({arm: share}),
            Abort(at_s, "Because.", None if spec.split is None else arm, V2),
        ][which]  # fmt: skip
        try:
            document = apply(document, command)
        except Rejected:
            continue
    read = read_back(document)
    assert read == document
    assert list(read.slots) == list(document.slots)
    assert list(read.weights) == list(spec.arms)


@pytest.mark.parametrize("deadline", ["12d", "365d", "1us"])
def test_a_document_with_a_long_or_short_deadline_can_be_read_back(deadline):
    document = apply(None, Declare(parse_spec({**SPLIT, "deadline": deadline})))
    assert read_back(document) == document


def test_what_the_first_version_of_this_program_stored_can_be_read():
    old = {
        "version": 7,
        "spec": {
            "route": "fraud",
            "arms": {"stable": "fraud@champion", "canary": "fraud:17"},
            "split": {"stable": "90%", "canary": "10%"},
            "unit": "header:x-user-id",
            "fallback": "stable",
            "deadline": "86400000ms",
            "batch_wait": "0.5ms",
            "placement": "replica",
            "seed": "spring",
        },
        "slots": {"stable": [[0, 8000], [9000, 1000]], "canary": [[8000, 1000]]},
    }
    document = from_dict(old)
    assert (document.version, document.trial_version, document.trial_s) == (7, 1, 0.0)
    assert (document.rollout, document.quarantine) == (None, ())
    assert document.spec == parse_spec({**SPLIT, "deadline": "1d", "batch_wait": "500us", "placement": "replica"})
    assert document.slots == {"stable": ((0, 8000), (9000, 1000)), "canary": ((8000, 1000),)}
    assert read_back(document) == document


def _without(raw: dict, key: str) -> dict:
    return {name: value for name, value in raw.items() if name != key}


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: [], id="a list"),
        pytest.param(lambda _: None, id="nothing"),
        pytest.param(lambda raw: _without(raw, "version"), id="no version"),
        pytest.param(lambda raw: _without(raw, "spec"), id="no spec"),
        pytest.param(lambda raw: _without(raw, "slots"), id="no slots"),
        pytest.param(lambda raw: {**raw, "version": "one"}, id="a version in letters"),
        pytest.param(lambda raw: {**raw, "version": None}, id="a null version"),
        pytest.param(lambda raw: {**raw, "version": True}, id="a true version"),
        pytest.param(lambda raw: {**raw, "version": 0}, id="version zero"),
        pytest.param(lambda raw: {**raw, "version": 1.9}, id="version 1.9"),
        pytest.param(lambda raw: {**raw, "version": float("inf")}, id="an infinite version"),
        pytest.param(lambda raw: {**raw, "spec": {**raw["spec"], "split": {"a": "97%"}}}, id="a split of 97%"),
        pytest.param(lambda raw: {**raw, "slots": []}, id="slots in a list"),
        pytest.param(lambda raw: {**raw, "slots": {"a": 5}}, id="slots without runs"),
        pytest.param(lambda raw: {**raw, "slots": {**raw["slots"], "a": [[0]]}}, id="half a run"),
        pytest.param(lambda raw: {**raw, "slots": {**raw["slots"], "a": [["0", 9000]]}}, id="a run in letters"),
        pytest.param(lambda raw: {**raw, "slots": {**raw["slots"], "a": [[0, 8999]]}}, id="one slot too few"),
        pytest.param(lambda raw: {**raw, "slots": {**raw["slots"], "c": []}}, id="slots of an arm there is not"),
        pytest.param(lambda raw: {**raw, "slots": _without(raw["slots"], "b")}, id="no slots of an arm there is"),
        pytest.param(lambda raw: {**raw, "trial": 5}, id="half a trial"),
        pytest.param(lambda raw: {**raw, "trial": [1.5, 0.0]}, id="a trial since version 1.5"),
        pytest.param(lambda raw: {**raw, "trial": [1, "noon"]}, id="a trial since noon"),
        pytest.param(lambda raw: {**raw, "trial": [1, 10**400]}, id="a trial since no time at all"),
        pytest.param(lambda raw: {**raw, "rollout": {}}, id="a split with half a rollout"),
        pytest.param(lambda raw: {**raw, "rollout": STATE}, id="a split with a rollout"),
        pytest.param(lambda raw: {**raw, "quarantine": [["m", "1", "d", 0.0]]}, id="a quarantine without a reason"),
        pytest.param(lambda raw: {**raw, "quarantine": [["m", 1, "d", 0.0, "w"]]}, id="a version that is a number"),
        pytest.param(lambda raw: {**raw, "quarantine": 3}, id="a quarantine that is a number"),
    ],
)
def test_a_damaged_document_is_corrupt(declared, damage):
    raw = to_dict(declared(a="90%", b="10%"))
    with pytest.raises(Corrupt):
        from_dict(damage(raw))


STATE = {"phase": "READY", "step": 0, "since_s": 0.0, "since_version": 1, "candidate": None}


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "RUNNING"},
        {"phase": None},
        {"step": -1},
        {"step": 3},
        {"step": "0"},
        {"since_s": None},
        {"since_version": 1.0},
        {"candidate": ["2"]},
        {"candidate": [2, "digest"]},
    ],
)
def test_a_damaged_rollout_is_corrupt(begun, change):
    raw = to_dict(begun())
    assert from_dict({**raw, "rollout": {**raw["rollout"], "step": 2}}).rollout.step == 2
    with pytest.raises(Corrupt):
        from_dict({**raw, "rollout": {**raw["rollout"], **change}})


@pytest.mark.parametrize("key", list(STATE))
def test_no_part_of_a_rollout_may_be_missing(begun, key):
    raw = to_dict(begun())
    with pytest.raises(Corrupt):
        from_dict({**raw, "rollout": _without(raw["rollout"], key)})


def test_a_rollout_without_its_state_is_corrupt(ready):
    with pytest.raises(Corrupt, match="a rollout without its state, or the reverse"):
        from_dict(_without(to_dict(ready()), "rollout"))


def test_the_state_of_a_rollout_is_stored(ready):
    document = ready()
    assert document.rollout == RolloutState(phase=Phase.READY, step=0, since_s=0.0, since_version=1, candidate=None)
    paused = replace(document, rollout=RolloutState(Phase.PAUSED, 1, 5.5, 4, V2), trial_version=3, trial_s=2.25)
    assert to_dict(paused)["rollout"] == {
        "phase": "PAUSED",
        "step": 1,
        "since_s": 5.5,
        "since_version": 4,
        "candidate": ["2", "digest-2"],
    }
    assert read_back(paused) == paused
    assert parse_spec(ROLLOUT) == paused.spec


def test_what_the_other_arms_of_an_older_rollout_served_is_what_they_are_bound_to(begun):
    """Before decision 023, an arm whose alias named the candidate went on with what it served before."""
    stored = to_dict(begun(arms={"stable": "m@champion", "canary": "m@challenger", "c": "m:3"}, **{"from": "stable"}))
    del stored["bound"]
    stored["rollout"]["others"] = {"stable": ["1", "digest-1"], "c": ["3", "digest-3"]}
    assert from_dict(stored).bound == {"stable": Candidate("1", "digest-1")}


def test_the_bindings_and_what_is_known_of_them_are_stored(ready):
    bound = {"stable": Candidate("1", "digest-1"), "canary": Candidate("2", "digest-2")}
    known = {
        "stable": Followed(Candidate("0", "digest-0"), "digest-3", (1.5, 2.5)),
        "canary": Followed(held="digest-4"),
    }
    document = replace(ready(), bound=bound, followed=known)
    assert from_dict(json.loads(json.dumps(to_dict(document)))) == document
