"""Floors and ceilings."""

import pytest

from router.errors import Rejected
from router.spec.parse import parse_spec
from router.spec.spec import Limits
from tests.unit.router.support import ROLLOUT

SPLIT = {"route": "r", "arms": {"a": "m:1", "b": "m:2"}, "split": {"a": "80%", "b": "20%"}, "fallback": "a"}


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (None, None),
        ({"b": {"ceiling": "20%"}}, {"b": Limits(0, 2000)}),
        ({"b": {"floor": 0.2}}, {"b": Limits(2000, 10_000)}),
        ({"a": {"floor": "10%", "ceiling": "80%"}}, {"a": Limits(1000, 8000)}),
        ({"b": {"floor": "20%", "ceiling": "20%"}}, {"b": Limits(2000, 2000)}),
    ],
)
def test_limits_are_whole_slots(limits, expected):
    assert parse_spec({**SPLIT, "limits": limits}).limits == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"limits": {}}, "limits must name arms, such as"),
        ({"limits": ["a"]}, "limits must name arms, such as"),
        ({"limits": {"z": {"floor": 0}}}, r"limits names arm 'z', which is not among the arms \(a, b\)"),
        ({"limits": {"a": {}}}, "limits.a must have floor, ceiling or both"),
        ({"limits": {"a": "20%"}}, "limits.a must have floor, ceiling or both"),
        ({"limits": {"a": {"top": 1}}}, "limits.a must have floor, ceiling or both"),
        ({"limits": {"a": {"floor": "low"}}}, "limits.a.floor must be a share"),
        ({"limits": {"a": {"ceiling": None}}}, "limits.a.ceiling must be a share"),
        ({"limits": {"a": {"floor": "5%", "ceiling": "4%"}}}, "limits.a has a floor above its ceiling"),
        ({"limits": {"b": {"ceiling": "19.99%"}}}, r"Arm b would get 20%, but its limits are 0% to 19.99%"),
        ({"limits": {"b": {"floor": "20.01%"}}}, r"Arm b would get 20%, but its limits are 20.01% to 100%"),
        (
            {"limits": {"a": {"ceiling": "80%"}}, "guardrails": [{"errors": {"worse_by": 0}}]},
            "guardrails give the traffic of the others to arm a, so limits may give it no ceiling",
        ),
    ],
)
def test_limits_that_cannot_be_are_refused(change, words):
    with pytest.raises(Rejected, match=words):
        parse_spec({**SPLIT, **change})


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"canary": {"floor": "1%"}}, "limits gives arm canary a floor; in a rollout every arm may come to have nothi"),
        ({"canary": {"ceiling": "0.5%"}}, "limits gives arm canary a ceiling of 0.5%, but the rollout begins with 1%"),
        ({"stable": {"ceiling": "99%"}}, "limits gives arm stable a ceiling of 99%, but the rollout begins with 100%"),
    ],
)
def test_limits_that_a_rollout_cannot_keep_are_refused(limits, words):
    with pytest.raises(Rejected, match=words):
        parse_spec({**ROLLOUT, "limits": limits})


def test_a_rollout_may_have_steps_above_its_ceiling():
    spec = parse_spec({**ROLLOUT, "limits": {"canary": {"ceiling": "5%"}}})
    assert spec.limits == {"canary": Limits(0, 500)}
    assert spec.rollout.steps[-1].slots == 2500
