"""Which shadows a document has: those declared and, if a guardrail compares answers, the trusted arm."""

import pytest

from router.document.apply import apply
from router.document.commands import Abort, Declare, Hold, Pause, Promote
from router.spec.parse import parse_spec
from router.spec.spec import ArmRef, ShadowSpec
from tests.unit.router.support import ROLLOUT, T0

SPLIT = {"route": "r", "arms": {"a": "m:1", "b": "m:2", "c": "m:3"}, "split": {"a": 1}, "fallback": "a"}
ERRORS = {"errors": {"worse_by": 0}}
FLIPS = {"disagreement": {"above": "5%", "sample": "10%", "tolerance": 0.5}}
TRUSTED = ShadowSpec(1000, arm="stable", against=("canary",), tolerance=0.5)


@pytest.mark.parametrize(
    ("declared", "active_shadows"),
    [
        (SPLIT, ()),
        ({**SPLIT, "shadow": [{"arm": "m:7"}]}, (ShadowSpec(10_000, ref=ArmRef("m", version="7")),)),
        ({**SPLIT, "guardrails": [ERRORS]}, ()),
        ({**SPLIT, "guardrails": [FLIPS]}, (ShadowSpec(1000, arm="a", against=("b", "c"), tolerance=0.5),)),
        ({**SPLIT, "guardrails": [FLIPS], "shadow": [{"arm": "a"}]}, (ShadowSpec(10_000, arm="a"),)),
        ({**ROLLOUT, "guardrails": [ERRORS, FLIPS]}, (TRUSTED,)),
    ],
)
def test_for_disagreement_the_trusted_arm_answers_beside_the_others(declared, active_shadows):
    assert apply(None, Declare(parse_spec(declared))).active_shadows == active_shadows


@pytest.mark.parametrize(
    ("commands", "is_active"),
    [
        ([], True),
        ([Hold()], True),
        ([Pause()], True),
        ([Promote(T0)], False),
        ([Abort(T0, "It fails.")], False),
    ],
)
def test_once_a_rollout_is_over_only_what_was_declared_answers(begun, after, commands, is_active):
    shadow = [{"arm": "m:7"}]
    document = after(begun(guardrails=[FLIPS], shadow=shadow), *commands)
    declared = (ShadowSpec(10_000, ref=ArmRef("m", version="7")),)
    assert document.active_shadows == ((*declared, TRUSTED) if is_active else declared)
