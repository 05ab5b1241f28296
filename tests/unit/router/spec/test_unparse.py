"""A spec is turned back into the declaration from which it was read."""

import json
from fractions import Fraction

import pytest
import yaml
from hypothesis import given, settings

from router.spec.parse import parse_spec
from router.spec.spec import Guardrail, GuardrailKind
from router.spec.unparse import unparse_spec
from tests.support.route_specs import specs
from tests.unit.router.support import ROLLOUT, SPLIT


@given(specs())
@settings(max_examples=150)
def test_a_spec_is_written_as_it_is_read(spec):
    read = parse_spec(json.loads(json.dumps(unparse_spec(spec))))
    assert read == spec
    assert list(read.arms) == list(spec.arms)
    assert list(read.split or ()) == list(spec.split or ())


@given(specs())
@settings(max_examples=30)
def test_a_spec_survives_a_file_of_yaml(spec):
    assert parse_spec(yaml.safe_load(yaml.safe_dump(unparse_spec(spec), sort_keys=False))) == spec


@pytest.mark.parametrize(
    ("declared", "key", "expected"),
    [
        (SPLIT, "split", {"stable": "90%", "canary": "10%"}),
        (SPLIT, "fallback", "stable"),
        (SPLIT, "deadline", "200ms"),
        ({**SPLIT, "fallback": {"canary": "stable"}}, "fallback", {"canary": "stable"}),  # no arm is declared trusted
        ({**ROLLOUT, "fallback": {"canary": "stable"}}, "fallback", "stable"),  # the rollout starts from stable
        (
            ROLLOUT,
            "rollout",
            {"of": "canary", "from": "stable", "steps": ["1%", "5%", "25%"], "every": "10m"},
        ),
        (
            {
                **ROLLOUT,
                "rollout": {
                    "of": "canary",
                    "every": "1h",
                    "samples": 500,
                    "steps": ["1%", {"weight": "5%", "every": "2h", "approve": True}, {"weight": "7%", "samples": 1}],
                },
            },
            "rollout",
            {
                "of": "canary",
                "from": "stable",
                "every": "1h",
                "samples": 500,
                "steps": ["1%", {"weight": "5%", "every": "2h", "approve": True}, {"weight": "7%", "samples": 1}],
            },
        ),
        ({**SPLIT, "limits": {"canary": {"floor": 0}}}, "limits", {"canary": {"ceiling": "100%"}}),
        (
            {**SPLIT, "limits": {"canary": {"floor": 0.02, "ceiling": 0.2}}},
            "limits",
            {"canary": {"floor": "2%", "ceiling": "20%"}},
        ),
        ({**SPLIT, "shadow": [{"arm": "fraud:18", "sample": 0.2}]}, "shadow", [{"arm": "fraud:18", "sample": "20%"}]),
        ({**SPLIT, "guardrails": [{"errors": {"worse_by": 0.01}}]}, "guardrails", [{"errors": {"worse_by": "1%"}}]),
        (
            {**SPLIT, "guardrails": [{"slower_than": "0.05s", "worse_by": "0.125%"}]},
            "guardrails",
            [{"slower_than": "50ms", "worse_by": "0.125%"}],
        ),
        ({**SPLIT, "holdout": "5%"}, "holdout", {"share": "5%", "seed": "spring"}),
    ],
)  # fmt: skip
def test_people_recognise_what_they_wrote(declared, key, expected):
    assert unparse_spec(parse_spec(declared))[key] == expected


@pytest.mark.parametrize("key", ["target", "alpha", "shadow", "limits", "guardrails", "rollout", "layer", "holdout"])
def test_what_was_not_said_is_not_written(key):
    assert key not in unparse_spec(parse_spec(SPLIT))


def test_a_target_without_a_condition_is_none():
    assert parse_spec({**SPLIT, "target": {}}).target is None


def test_a_very_fine_share_is_kept_exactly():
    above = "0.123456789012345678901234567891"
    spec = parse_spec({**SPLIT, "guardrails": [{"disagreement": {"above": above}}]})
    assert spec.guardrails == (Guardrail(GuardrailKind.DISAGREEMENT, Fraction(above), sample_slots=10_000),)
    assert parse_spec(unparse_spec(spec)) == spec
