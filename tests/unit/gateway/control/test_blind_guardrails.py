"""A guardrail that could see nothing of an arm's outputs is refused when its route is declared."""

from types import SimpleNamespace

import pytest
from onnx import helper

from gateway.control.blind_guardrails import refuse_blind
from router.errors import Rejected
from router.spec.parse import parse_spec
from runtimes.manifest import Signature, TensorSpec
from tests.support.models import onnx_content, write_version

INPUTS = (TensorSpec("X", "FP32", (-1, 4)),)
OF_ROWS = (TensorSpec("all", "FP32", (-1, 4)),)
OF_BATCH = (TensorSpec("largest", "FP32", ()),)
"""An output without a batch dimension."""

OF_OUTPUTS = {"missing_outputs": {"worse_by": "1%"}}, {"disagreement": {"above": "5%", "sample": "20%"}}
OTHERS = {"errors": {"worse_by": "1%"}}, {"slower_than": "50ms", "worse_by": "2%"}
ROLLOUT = {"rollout": {"of": "canary", "steps": ["5%", "50%"], "every": "1m"}, "fallback": "stable"}
SPLIT = {"split": {"stable": "50%", "canary": "50%"}, "fallback": "stable"}


def publish(registry) -> None:
    """Publish two versions of model `largest`: the largest value of all rows of a request."""
    node = helper.make_node("ReduceMax", ["X"], ["largest"], keepdims=0)
    for version in ("1", "2"):
        content = onnx_content([node], INPUTS, OF_BATCH)
        write_version(registry, "largest", version, content, inputs=INPUTS, outputs=OF_BATCH)


def route(*guardrails: dict, model: str = "largest", **more) -> dict:
    arms = {"stable": f"{model}:1", "canary": f"{model}:2"}
    return {"route": "r", "arms": arms, "guardrails": list(guardrails), **more}


@pytest.mark.parametrize("more", [ROLLOUT, SPLIT], ids=["rollout", "split"])
@pytest.mark.parametrize("guardrail", OF_OUTPUTS, ids=lambda each: next(iter(each)))
def test_a_guardrail_that_can_see_nothing_is_refused_with_what_to_do(site, guardrail, more):
    publish(site.registry)
    words = (
        rf"Route r: Guardrail {next(iter(guardrail))} could see nothing of arm \w+ \(largest:\d\): .*"
        "Give an output in model.yaml a batch dimension .*, or take the guardrail out"
    )
    with pytest.raises(Rejected, match=words):
        site.declare(route(*OTHERS, guardrail, **more))
    assert site.documents() == {}
    site.declare(route(*OTHERS, guardrail, model="linear", **more))


def test_guardrails_that_need_no_output_are_accepted(site):
    publish(site.registry)
    site.declare(route(*OTHERS, **ROLLOUT))
    assert site.document().spec.guarded_arms == ("canary",)


@pytest.mark.parametrize("blind", ["stable", "canary", "other"])
def test_both_arms_are_looked_at_and_no_other_one(blind):
    raw = route(OF_OUTPUTS[0], **{**ROLLOUT, "rollout": {**ROLLOUT["rollout"], "from": "stable"}})
    spec = parse_spec({**raw, "arms": {**raw["arms"], "other": "largest:1"}})
    arms = {
        arm: SimpleNamespace(key=f"m:{arm}", manifest=SimpleNamespace(signature=Signature(INPUTS, outputs)))
        for arm, outputs in ((arm, OF_BATCH if arm == blind else OF_ROWS) for arm in spec.arms)
    }
    if blind == "other":
        refuse_blind(spec, arms)
    else:
        with pytest.raises(Rejected, match=rf"nothing of arm {blind} \(m:{blind}\)"):
            refuse_blind(spec, arms)
