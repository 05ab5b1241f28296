"""Guardrails as operators declare them, and the arms that they watch."""

from fractions import Fraction

import pytest

from router.errors import Rejected
from router.spec.parse import parse_spec
from router.spec.parse_guardrails import MAX_GUARDRAILS
from router.spec.spec import Guardrail, GuardrailKind
from tests.unit.router.support import ROLLOUT

SPLIT = {"route": "r", "arms": {"a": "m:1", "b": "m:2", "c": "m:3"}, "split": {"a": 1}, "fallback": "a"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"errors": {"worse_by": "1%"}}, Guardrail(GuardrailKind.ERRORS, Fraction(1, 100))),
        ({"missing_outputs": {"worse_by": 0}}, Guardrail(GuardrailKind.MISSING_OUTPUTS, Fraction(0))),
        (
            {"slower_than": "50ms", "worse_by": "2%"},
            Guardrail(GuardrailKind.SLOWER_THAN, Fraction(1, 50), slower_than_us=50_000),
        ),
        (
            {"disagreement": {"above": "5%"}},
            Guardrail(GuardrailKind.DISAGREEMENT, Fraction(1, 20), sample_slots=10_000),
        ),
        (
            {"disagreement": {"above": "5%", "sample": "10%", "tolerance": 0.5}},
            Guardrail(GuardrailKind.DISAGREEMENT, Fraction(1, 20), sample_slots=1000, tolerance=0.5),
        ),
    ],
)
def test_each_kind_is_read(raw, expected):
    assert parse_spec({**SPLIT, "guardrails": [raw]}).guardrails == (expected,)


def test_there_may_be_none():
    assert parse_spec({**SPLIT, "guardrails": []}).guardrails == ()


def test_two_thresholds_may_be_watched():
    raw = [{"slower_than": limit, "worse_by": "1%"} for limit in ("50ms", "1s")]
    assert [each.slower_than_us for each in parse_spec({**SPLIT, "guardrails": raw}).guardrails] == [50_000, 1_000_000]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"errors": {"worse_by": 0.01}}, f"guardrails must be a list of at most {MAX_GUARDRAILS}"),
        ([{"errors": {"worse_by": 0.01}}] * 17, "guardrails must be a list of at most"),
        ([{"errors": {"worse_by": 0.01}}] * 2, "guardrails watches errors twice"),
        (
            [{"slower_than": "1s", "worse_by": 0}, {"slower_than": "1000ms", "worse_by": 0.1}],
            "guardrails watches slower_than twice",
        ),
        ([7], r"guardrails\[0\] must have one of errors, slower_than, missing_outputs, disagreement"),
        ([{}], r"guardrails\[0\] must have one of"),
        ([{"crashes": {"worse_by": 0.1}}], r"guardrails\[0\] must have one of"),
        ([{"errors": {"worse_by": 0}, "missing_outputs": {"worse_by": 0}}], "must have one of"),
        ([{"errors": "1%"}], r"guardrails\[0\].errors must say how much is allowed, such as `{worse_by: 1%}`"),
        ([{"errors": {}}], r"guardrails\[0\].errors must say how much is allowed"),
        ([{"errors": {"above": 0.1}}], r"Unknown key above in guardrails\[0\].errors; there may be worse_by"),
        ([{"errors": {"worse_by": 0.1}, "alpha": 1}], r"Unknown key alpha in guardrails\[0\]; there may be errors"),
        ([{"errors": {"worse_by": "lots"}}], r"guardrails\[0\].errors.worse_by must be a share"),
        ([{"errors": {"worse_by": 1}}], "worse_by is 100%, which allows everything"),
        ([{"slower_than": "50ms"}], r"guardrails\[0\] must say how much is allowed, such as `worse_by: 1%`"),
        ([{"slower_than": 50, "worse_by": 0}], r"guardrails\[0\].slower_than must be a duration"),
        ([{"slower_than": "1s", "worse_by": 0, "above": 0}], r"Unknown key above in guardrails\[0\]"),
        ([{"disagreement": 0.1}], r"guardrails\[0\].disagreement must say how much is allowed, such as `{above: 1%}`"),
        ([{"disagreement": {"above": 0}}], "above is 0%: the first answer that differs would end it"),
        ([{"disagreement": {"above": 0.1, "sample": 0}}], "disagreement.sample is nothing; the least is 0.01%"),
        ([{"disagreement": {"above": 0.1, "tolerance": -1}}], "tolerance must be a number that is not negative"),
        ([{"disagreement": {"above": 0.1, "worse_by": 0}}], "Unknown key worse_by in guardrails"),
    ],
)
def test_an_illegal_guardrail_is_refused_with_a_sentence(raw, words):
    with pytest.raises(Rejected, match=words):
        parse_spec({**SPLIT, "guardrails": raw})


def test_a_route_of_one_arm_has_nothing_to_compare():
    with pytest.raises(Rejected, match="guardrails compare the other arms with the fallback, but this route has no"):
        parse_spec(
            {
                "route": "r",
                "arms": {"a": "m:1"},
                "split": {"a": 1},
                "fallback": "a",
                "guardrails": [{"errors": {"worse_by": 0}}],
            }
        )


ERRORS = {"errors": {"worse_by": 0}}


def test_a_rollout_watches_its_candidate_and_a_split_all_but_the_fallback():
    assert parse_spec({**ROLLOUT, "guardrails": [ERRORS]}).guarded_arms == ("canary",)
    assert parse_spec({**SPLIT, "guardrails": [ERRORS]}).guarded_arms == ("b", "c")
    assert parse_spec(SPLIT).guarded_arms == ()
