"""A state goes through JSON to the last bit, and gives the same numbers on every machine."""

import json

import pytest

from bandits.errors import BanditError
from bandits.estimates import effects, effects_json, pooled
from bandits.estimates.effects_state import EffectsState
from bandits.estimates.pooled import PooledState
from bandits.sums import ArmSum, Period

GROUPS = 16


def numbers(count: int) -> list[int]:
    """Return integers that do not depend on a library's generator (Lehmer, 1951)."""
    values = [42]
    while len(values) <= count:
        values.append(values[-1] * 48_271 % 2_147_483_647)
    return values[1:]


def periods() -> list[Period]:
    drawn = iter(numbers(1000))
    made = []
    for at in range(10):
        groups = []
        for _ in range(GROUPS):
            counts = [next(drawn) % 50 for _ in range(3)]
            totals = [count * (next(drawn) % 1_000_000) for count in counts]
            groups.append(tuple(ArmSum(n, total, total * 3 // 4) for n, total in zip(counts, totals, strict=True)))
        arms = tuple(ArmSum(*(sum(each) for each in zip(*of_arm, strict=True))) for of_arm in zip(*groups, strict=True))
        made.append(Period(10 * at, arms, tuple(groups)))
    return made


def folded(empty, fold):
    state = empty(("a", "b", "c"), GROUPS)
    for each in periods():
        state = fold(state, each, 33.0)
    return state


def test_effects_go_through_json_exactly():
    state = folded(EffectsState.empty, effects.fold)
    back = effects_json.from_json(json.loads(json.dumps(effects_json.to_json(state))))
    assert back == state
    assert effects.estimates(back) == effects.estimates(state)


def test_pooled_sums_go_through_json_exactly():
    state = folded(PooledState.empty, pooled.fold)
    assert pooled.from_json(json.loads(json.dumps(pooled.to_json(state)))) == state


@pytest.mark.parametrize("state", [EffectsState.empty(("a", "b"), 2), EffectsState.empty(("a",))])
def test_a_state_before_the_first_period_goes_through_json(state):
    assert effects_json.from_json(json.loads(json.dumps(effects_json.to_json(state)))) == state


def test_a_folded_state_is_the_same_to_the_last_bit_everywhere():
    """These numbers are kept with learned policies, so a change of the order of operations breaks replay."""
    known = effects.estimates(folded(EffectsState.empty, effects.fold))
    assert [mean.hex() for mean in known.means] == [
        "0x1.9b32ae2fe84c3p-2",
        "0x1.e535ffc2c25bap-2",
        "0x1.efda3572bddf0p-2",
    ]
    assert [variance.hex() for variance in known.covariance[0]] == [
        "0x1.85e41df1a64dfp-9",
        "0x1.d1453c7dadeb9p-20",
        "-0x1.2491f768b84a1p-18",
    ]


@pytest.mark.parametrize(
    "broken",
    [
        {"decisions": [1.0]},
        {"squares": "many"},
        {"squares": float("nan")},
        {"comparisons": [[1.0], [0.0, 0.0, 0.0]]},
        {"groups": [[[1.0, 1.0, 1.0]]]},
        {"newest_s": "noon"},
        {"arms": None},
    ],
)
def test_a_broken_state_is_refused(broken):
    state = folded(EffectsState.empty, effects.fold)
    with pytest.raises(BanditError, match="no state of the estimate `effects`"):
        effects_json.from_json(effects_json.to_json(state) | broken)
    fields = pooled.to_json(folded(PooledState.empty, pooled.fold))
    with pytest.raises(BanditError, match="no state of the estimate `pooled`"):
        pooled.from_json({name: value for name, value in fields.items() if name != "rewards"})
