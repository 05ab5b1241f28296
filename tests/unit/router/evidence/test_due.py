"""Changes that are due: the abort of a bad arm, following a new version, and the next step."""

from fractions import Fraction

import pytest

from router.document.apply import apply
from router.document.commands import Abort, Advance, Declare, Hold, Pause, Promote, Resume, Shift, Start
from router.document.document import Document
from router.evidence.due import abort_due, may_be_due, step_due
from router.evidence.guardrails import GuardrailFinding
from router.evidence.verdict import Verdict, VerdictState
from router.spec.parse import parse_spec
from tests.unit.router.support import STEP_S, T0, V1, V2, V3

BOUND = {"stable": V1, "canary": V2}
WHY = "6 of 12 (50%) requests of canary failed."


def found(
    arm: str = "canary", state: VerdictState = VerdictState.UNHEALTHY, guardrail: str = "errors", why: str = WHY
) -> GuardrailFinding:
    return GuardrailFinding(arm, guardrail, Verdict(state, why, 0.001))


def split(**more) -> Document:
    arms = {"stable": "m:1", "b": "m:2", "c": "m:3"}
    raw = {"route": "r", "arms": arms, "split": {"stable": "50%", "b": "30%", "c": "20%"}, "fallback": "stable"}
    return apply(None, Declare(parse_spec({**raw, **more}), T0))


def test_a_rollout_may_be_due_from_its_start_to_its_end(ready, after):
    document = ready()
    begun = after(document, Start(V2, T0))
    waiting = after(begun, Hold())
    moving = [begun, waiting, after(begun, Pause()), after(begun, Shift({"canary": Fraction(1, 2)}))]
    still = [document, after(begun, Promote(T0)), after(begun, Abort(T0, "bad"))]
    assert [may_be_due(each) for each in moving] == [True] * 4
    assert [may_be_due(each) for each in still] == [False] * 3


def test_a_split_may_be_due_only_if_it_has_guardrails():
    assert not may_be_due(split())
    assert may_be_due(split(guardrails=[{"errors": {"worse_by": "1%"}}]))


def test_an_arm_that_is_unhealthy_is_aborted_with_the_reason(begun):
    document, unhealthy = begun(), found()
    change = abort_due(
        document, (found(state=VerdictState.HEALTHY, guardrail="missing_outputs"), unhealthy), BOUND, T0 + 5
    )
    assert change.command == Abort(T0 + 5, WHY, "canary", V2)
    assert (change.what, change.why, change.finding) == ("abort canary: errors", WHY, unhealthy)
    after = apply(document, change.command)
    assert after.weights == {"stable": 10_000, "canary": 0}
    assert [(held.version, held.why) for held in after.quarantine] == [("2", WHY)]


@pytest.mark.parametrize("state", [VerdictState.HEALTHY, VerdictState.UNDECIDED])
def test_an_arm_that_is_not_unhealthy_stays(begun, state):
    assert abort_due(begun(), (found(state=state),), BOUND, T0) is None
    assert abort_due(begun(), (), BOUND, T0) is None


def test_nothing_is_taken_from_an_arm_that_has_nothing():
    document = split(split={"stable": "50%", "b": "50%", "c": 0})
    bound = {"stable": V1, "b": V2, "c": V3}
    assert abort_due(document, (found("c"),), bound, T0) is None
    change = abort_due(document, (found("c"), found("b")), bound, T0)
    assert change.command.arm == "b"
    gone = apply(document, change.command)
    assert abort_due(gone, (found("c"), found("b")), bound, T0) is None


def test_of_a_split_each_arm_is_aborted_by_itself():
    document = split(guardrails=[{"errors": {"worse_by": "1%"}}])
    bound = {"stable": V1, "b": V2, "c": V3}
    change = abort_due(document, (found("b"), found("c")), bound, T0)
    first = apply(document, change.command)
    assert first.weights["b"] == 0
    assert sum(first.weights.values()) == 10_000
    second = apply(first, abort_due(first, (found("b"), found("c")), bound, T0).command)
    assert second.weights == {"stable": 10_000, "b": 0, "c": 0}
    assert [held.version for held in second.quarantine] == ["2", "3"]


def test_a_step_that_is_over_leads_to_the_next(begun):
    document = begun()
    assert step_due(document, (), 40, STEP_S - 1, T0 + STEP_S) is None
    assert step_due(document, (), 0, STEP_S, T0 + STEP_S) is None
    change = step_due(document, (), 40, STEP_S, T0 + STEP_S)
    assert (change.command, change.what, change.why) == (
        Advance(T0 + STEP_S), "advance", "The step is over, with 40 requests."
    )  # fmt: skip
    assert apply(document, change.command).weights["canary"] == 500


def test_a_step_that_needs_approval_waits_for_it(begun, after):
    document = begun(steps=[{"weight": "1%", "approve": True}, "5%"])
    change = step_due(document, (), 40, STEP_S, T0 + STEP_S)
    assert (change.command, change.what) == (Hold(), "hold")
    assert change.why.endswith("The next one needs approval: `pointsman resume r`.")
    waiting = after(document, change.command)
    assert step_due(waiting, (), 400, 9 * STEP_S, T0 + STEP_S) is None
    assert after(waiting, Resume(T0 + STEP_S)).weights["canary"] == 500


def test_a_split_has_no_steps():
    assert step_due(split(), (), 10**9, 10**9, T0 + STEP_S) is None


def test_no_step_is_over_by_itself_while_a_guardrail_is_blind(begun):
    blind = found(state=VerdictState.BLIND, guardrail="missing_outputs")
    document = begun()
    assert step_due(document, (found(state=VerdictState.UNDECIDED),), 40, STEP_S, T0 + STEP_S) is not None
    assert step_due(document, (found(state=VerdictState.HEALTHY), blind), 40, STEP_S, T0 + STEP_S) is None
    assert abort_due(document, (blind,), BOUND, T0 + STEP_S) is None
