"""A weight above 0 and less than a slot is refused wherever it is given: it would become nothing in silence."""

from fractions import Fraction

import pytest

from router.document.apply import apply
from router.document.commands import Declare, Shift
from router.errors import Rejected
from router.spec.parse import parse_spec

ARMS = {"a": "m:1", "b": "m:2", "c": "m:3"}
TINY = "0.004%"


def rollout(**keys):
    return {"of": "c", "from": "a", "steps": ["5%"], "every": "1m", **keys}


@pytest.mark.parametrize(
    "keys",
    [
        {"split": {"a": "99.995%", "b": "0.005%"}},
        {"split": {"a": "99.991%", "b": "0.009%"}},
        {"split": {"a": 0.99996, "b": 4e-5}},
        {"split": {"a": "100%"}, "limits": {"a": {"floor": TINY}}},
        {"split": {"a": "100%"}, "limits": {"b": {"ceiling": TINY}}},
        {"rollout": rollout(steps=[TINY])},
        {"rollout": rollout(steps=[{"weight": TINY}])},
        {"rollout": rollout(**{"from": {"a": "99.996%", "b": TINY}})},
    ],
)
def test_none_is_declared(keys):
    with pytest.raises(Rejected, match=r"the least weight is 0\.01%"):
        apply(None, Declare(parse_spec({"route": "r", "arms": ARMS, **keys})))


@pytest.mark.parametrize(
    "weights",
    [{"a": Fraction(1, 100_000)}, {"a": Fraction(99_995, 100_000)}, {"a": Fraction(1), "b": Fraction(1, 20_000)}],
)
def test_none_is_shifted_or_left_for_the_others(declared, weights):
    with pytest.raises(Rejected, match=r"(The weight of arm|What is left for).*the least weight is 0\.01%"):
        apply(declared(a="90%", b="5%", c="5%"), Shift(weights))


def test_a_whole_slot_and_nothing_are_weights(declared):
    document = apply(declared(a="90%", b="10%"), Shift({"a": Fraction(1, 10_000)}))
    assert document.weights == {"a": 1, "b": 9999}
    assert apply(document, Shift({"a": Fraction(0)})).weights == {"a": 0, "b": 10_000}
