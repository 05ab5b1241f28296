"""The phases of a bandit, and what commands do to its weights."""

import pytest

from router.document.apply import apply
from router.document.commands import Abort, Declare, Hold, Pause, Promote, Reset, Resume, Shift, Start, Undo
from router.document.document import Candidate, Document
from router.document.learned import LearnedPolicy, policy_from_dict, policy_to_dict, with_learned
from router.document.phase import Phase
from router.document.stored import from_dict, to_dict
from router.draw.slots import reallocate
from router.errors import Corrupt, Rejected
from router.quantities import parse_share
from router.spec.parse import parse_spec
from router.spec.unparse import unparse_spec

ROUTE = {
    "route": "shop",
    "arms": {"a": "m:1", "b": "m:2", "c": "m:3"},
    "metrics": {"click": {"window": "1h"}, "revenue": {"window": "1h"}},
    "bandit": {"policy": "thompson", "reward": "click", "floor": "2%"},
    "fallback": "a",
}


def declared(**changed: object) -> Document:
    return apply(None, Declare(parse_spec(ROUTE | changed), 10.0))


def learned(document: Document, number: int = 1, **slots: int) -> LearnedPolicy:
    state = document.learning
    assert state is not None
    table = reallocate(document.slots, slots)
    return LearnedPolicy("shop", document.declared_us, number, state.since_version, table, 0, {})


def in_phase(phase: Phase) -> Document:
    document = declared()
    command = {
        Phase.PROGRESSING: None, Phase.PAUSED: Pause(), Phase.WAITING: Hold(), Phase.PROMOTED: Promote(1.0, "b"),
        Phase.ABORTED: Abort(1.0, "test"),
    }[phase]  # fmt: skip
    return document if command is None else apply(document, command)


def test_a_bandit_learns_once_it_is_declared():
    assert declared().phase is Phase.PROGRESSING


@pytest.mark.parametrize("phase", [Phase.PROGRESSING, Phase.PAUSED, Phase.WAITING])
def test_a_promotion_gives_the_named_arm_everything(phase):
    promoted = apply(in_phase(phase), Promote(1.0, "c"))
    assert (promoted.phase, promoted.weights) == (Phase.PROMOTED, {"a": 0, "b": 0, "c": 10_000})


def test_without_a_name_the_arm_with_the_most_is_promoted():
    document = declared()
    document = with_learned(document, learned(document, a=1_000, b=7_000, c=2_000))
    assert apply(document, Promote(1.0)).weights == {"a": 0, "b": 10_000, "c": 0}
    with pytest.raises(Rejected, match="say which one"):
        apply(with_learned(declared(), learned(declared(), a=4_000, b=4_000, c=2_000)), Promote(1.0))


def test_an_abort_gives_the_trusted_arm_everything_and_start_begins_anew():
    aborted = apply(declared(), Abort(1.0, "test"))
    assert (aborted.phase, aborted.weights, aborted.quarantine) == (Phase.ABORTED, {"a": 10_000, "b": 0, "c": 0}, ())
    again = apply(aborted, Start(None, 2.0))
    assert (again.phase, again.weights) == (Phase.PROGRESSING, declared().weights)
    with pytest.raises(Rejected, match="no arm that is trusted"):
        apply(declared(fallback={"b": "a"}), Abort(1.0, "test"))


def test_an_arm_that_is_aborted_loses_its_traffic_and_the_others_go_on_learning():
    document = declared()
    document = with_learned(document, learned(document, a=1_000, b=7_000, c=2_000))
    changed = apply(document, Abort(1.0, "bad", "b", Candidate("2", "digest2")))
    assert (changed.phase, changed.weights) == (Phase.PROGRESSING, {"a": 3_333, "b": 0, "c": 6_667})
    assert [each.digest for each in changed.quarantine] == ["digest2"]
    assert with_learned(changed, learned(document, 2, a=0, b=10_000, c=0)) == changed


@pytest.mark.parametrize("phase", [Phase.PROGRESSING, Phase.PAUSED, Phase.WAITING])
def test_taking_an_arm_out_changes_no_phase(phase):
    document = in_phase(phase)
    assert apply(document, Abort(1.0, "bad", "b", Candidate("2", "digest2"))).phase is phase


def test_a_promoted_arm_that_is_taken_out_leaves_everything_to_the_trusted_arm():
    document = apply(in_phase(Phase.PROMOTED), Abort(1.0, "bad", "b", Candidate("2", "digest2")))
    assert (document.phase, document.weights) == (Phase.ABORTED, {"a": 10_000, "b": 0, "c": 0})
    assert [each.digest for each in document.quarantine] == ["digest2"]


COMMANDS = {
    "start": Start(None, 1.0), "pause": Pause(), "resume": Resume(1.0), "promote": Promote(1.0, "b"),
    "abort": Abort(1.0, "test"), "shift": Shift({"a": parse_share("100%", "a")}, 1.0),
}  # fmt: skip
PHASES = {
    Phase.PROGRESSING: {"pause": "PAUSED", "shift": "PAUSED", "promote": "PROMOTED", "abort": "ABORTED"},
    Phase.WAITING: {
        "resume": "PROGRESSING", "pause": "PAUSED", "shift": "PAUSED", "promote": "PROMOTED", "abort": "ABORTED",
    },
    Phase.PAUSED: {"resume": "PROGRESSING", "shift": "PAUSED", "promote": "PROMOTED", "abort": "ABORTED"},
    Phase.PROMOTED: {"start": "PROGRESSING", "abort": "ABORTED", "shift": "PAUSED"},
    Phase.ABORTED: {"start": "PROGRESSING"},
}  # fmt: skip


@pytest.mark.parametrize("phase", PHASES)
def test_each_phase_allows_the_commands_of_the_table_in_the_manual(phase):
    document, allowed = in_phase(phase), PHASES[phase]
    assert {name: str(apply(document, COMMANDS[name]).phase) for name in allowed} == allowed
    for name in COMMANDS.keys() - allowed.keys():
        with pytest.raises(Rejected, match=f"The bandit is {phase}, where {name} is not possible"):
            apply(document, COMMANDS[name])


@pytest.mark.parametrize(
    ("phase", "command"),
    [
        (Phase.PROGRESSING, Resume(1.0)), (Phase.PROGRESSING, Start(None, 1.0)), (Phase.PAUSED, Pause()),
        (Phase.PROMOTED, Pause()), (Phase.ABORTED, Shift({"a": parse_share("100%", "a")}, 1.0)),
        (Phase.ABORTED, Promote(1.0, "b")),
    ],
)  # fmt: skip
def test_what_a_phase_does_not_allow_is_refused(phase, command):
    with pytest.raises(Rejected, match="not possible"):
        apply(in_phase(phase), command)


def test_a_document_is_read_back_with_what_was_learned():
    document = declared()
    document = apply(with_learned(document, learned(document, a=1_000, b=7_000, c=2_000)), Pause())
    assert from_dict(to_dict(document)) == document
    assert unparse_spec(document.spec) == unparse_spec(declared().spec)


def test_a_document_whose_state_is_gone_is_corrupt():
    stored = to_dict(declared())
    del stored["learning"]
    with pytest.raises(Corrupt, match="policy without its state"):
        from_dict(stored)


def test_the_same_declaration_changes_nothing():
    document = declared()
    document = with_learned(document, learned(document, a=1_000, b=7_000, c=2_000))
    again = apply(document, Declare(declared().spec, 99.0))
    assert (again.weights, again.learning) == (document.weights, document.learning)


def test_another_metric_begins_anew():
    document = declared()
    document = with_learned(document, learned(document, a=1_000, b=7_000, c=2_000))
    other = apply(document, Declare(parse_spec(ROUTE | {"bandit": ROUTE["bandit"] | {"reward": "revenue"}}), 99.0))
    assert other.weights == declared().weights
    assert other.learning.arms == {"a": 2, "b": 2, "c": 2}


def test_arms_that_stay_keep_their_proportions_and_new_ones_begin_with_their_floor():
    document = declared()
    document = with_learned(document, learned(document, a=1_000, b=7_000, c=2_000))
    arms = {"a": "m:1", "b": "m:2", "d": "m:4"}
    limits = {"d": {"floor": "5%", "ceiling": "10%"}}
    changed = apply(document, Declare(parse_spec(ROUTE | {"arms": arms, "limits": limits, "bandit": {
        **ROUTE["bandit"], "from": {"a": "50%", "b": "45%", "d": "5%"},
    }}), 99.0))  # fmt: skip
    assert changed.weights == {"a": 1_188, "b": 8_312, "d": 500}
    assert changed.learning.arms == {"a": 1, "b": 1, "d": 2}


def test_a_reset_counts_an_arm_from_now_on():
    document = apply(declared(), Reset("b", 5.0))
    assert document.learning.arms == {"a": 1, "b": 2, "c": 1}
    with pytest.raises(Rejected, match="no arm"):
        apply(declared(), Reset("z", 5.0))


def test_an_undo_brings_back_the_weights_and_pauses():
    document = declared()
    before = with_learned(document, learned(document, a=1_000, b=7_000, c=2_000))
    promoted = apply(before, Promote(1.0, "c"))
    undone = apply(promoted, Undo(document, 2.0))
    assert (undone.phase, undone.weights) == (Phase.PAUSED, document.weights)


def test_a_policy_that_observes_moves_nothing():
    observed = {"split": {"a": "80%", "b": "20%"}, "observe": {"policy": "thompson", "reward": "click"}}
    spec = parse_spec({key: value for key, value in ROUTE.items() if key != "bandit"} | observed)
    document = apply(None, Declare(spec, 10.0))
    seen = with_learned(document, learned(document, a=1_000, b=7_000, c=2_000))
    assert (seen.weights, seen.policy_number, seen.phase) == (document.weights, 1, None)
    with pytest.raises(Rejected, match="split, not a rollout"):
        apply(document, Pause())
    shifted = apply(document, Shift({"c": parse_share("10%", "c")}))
    assert (shifted.weights["c"], shifted.learning) == (1_000, document.learning)


def test_a_learned_policy_is_read_back():
    policy = learned(declared(), a=1_000, b=7_000, c=2_000)
    assert policy_from_dict(policy_to_dict(policy)) == policy
    with pytest.raises(Corrupt, match="learned policy"):
        policy_from_dict({"route": "shop"})


def priced(a: object, b: object = 20) -> dict[str, object]:
    arms = {"a": {"value": {"price": a}}, "b": {"value": {"price": b}}}
    return {**ROUTE, "arms": arms}


@pytest.mark.parametrize(("price", "since"), [(10, 1), (10.0, 1), (11, 2)])
def test_another_value_of_an_arm_is_learned_anew_with_the_weight_that_the_arm_has(price, since):
    document = apply(None, Declare(parse_spec(priced(10)), 10.0))
    document = with_learned(document, learned(document, a=7_000, b=3_000))
    changed = apply(document, Declare(parse_spec({**priced(price), "deadline": "1s"}), 20.0))
    assert changed.learning.arms == {"a": since, "b": 1}
    assert changed.learning.since_version == since
    assert changed.weights == {"a": 7_000, "b": 3_000}
    assert from_dict(to_dict(changed)) == changed


def test_so_is_a_model_in_place_of_a_value():
    document = apply(None, Declare(parse_spec(priced(10)), 10.0))
    mixed = {**priced(10), "arms": {"a": "m:1", "b": {"value": {"price": 20}}}}
    changed = apply(document, Declare(parse_spec(mixed), 20.0))
    assert changed.learning.arms == {"a": 2, "b": 1}


def test_the_evidence_begins_anew_once_weights_stay():
    """Counts under weights that moved are not those of a split."""
    guarded = {"guardrails": [{"errors": {"worse_by": "1%"}}]}
    document = declared(**guarded)
    split = {"bandit": None, "split": {"a": "50%", "b": "30%", "c": "20%"}}
    changed = apply(document, Declare(parse_spec(ROUTE | guarded | split), 99.0))
    assert (changed.trial_version, changed.trial_s) == (2, 99.0)
    assert apply(document, Pause()).trial_version == 1
