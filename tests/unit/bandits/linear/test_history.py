"""What a contextual bandit knows: old buckets together, newer ones apart, and the same models from both."""

import json
import random

import pytest

from bandits.errors import BanditError
from bandits.linear.history import History, Seen, advanced, from_json, levelled, models, to_json
from bandits.linear.scorer import Scorer
from bandits.linear.sums import MILLION, combine, exposure, nothing
from tests.unit.bandits.linear.support import vector

CONTEXTS = ([1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.5, 0.5])


def buckets(count: int, *, drift: float = 0.0, decisions: int = 40, seed: int = 3) -> list[Seen]:
    """Return buckets of two arms: the first is better where the second feature is high, the second where it is low."""
    draw = random.Random(seed)  # noqa: S311  # a simulation
    seen = []
    for number in range(count):
        level, arms = drift * (number % 2), []
        for arm in range(2):
            parts = []
            for _ in range(decisions):
                x = draw.choice(CONTEXTS)
                rate = 0.2 + 0.4 * (x[1] if arm == 0 else x[2]) + level
                parts.append(exposure(vector(x), MILLION * (draw.random() < rate)))
            arms.append(combine(parts, 3))
        seen.append(Seen(10 * number, tuple(arms)))
    return seen


def scores(history: History, newer: list[Seen], context, half_life_s: float | None = None):
    return Scorer(models(levelled(history, newer, half_life_s)), 3, with_spreads=True).scores(vector(context))


@pytest.mark.parametrize("half_life_s", [None, 100.0])
@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_what_has_become_old_counts_as_before(half_life_s, drift):
    seen = buckets(30, drift=drift)
    empty = History.empty(("a", "b"), 3)
    history = empty
    for end in range(5, 30):
        after_s = -1 if history.newest_s is None else history.newest_s
        newer = [each for each in seen[:end] if each.begins_s > after_s]
        history = advanced(levelled(history, newer, half_life_s), 10 * end - 60)
    assert history.newest_s == 230
    rest = [each for each in seen if each.begins_s > 230]
    for context in CONTEXTS:
        together, apart = scores(history, rest, context, half_life_s), scores(empty, seen, context, half_life_s)
        differences = [one.means[0] - one.means[1] for one in (together, apart)]
        assert differences[0] == pytest.approx(differences[1], abs=0.03)
        assert together.spreads == pytest.approx(apart.spreads, rel=0.02)


def test_the_better_arm_of_each_context_has_the_higher_score():
    history = advanced(levelled(History.empty(("a", "b"), 3), buckets(40), None), 200)
    newer = [each for each in buckets(40) if each.begins_s > 200]
    for context, better in (([1.0, 1.0, 0.0], 0), ([1.0, 0.0, 1.0], 1)):
        means = scores(history, newer, context).means
        assert means.index(max(means)) == better


def test_without_levels_nothing_changes_the_sums():
    seen = [Seen(0, (exposure(vector([1, 1, 0]), 0), nothing(3))), Seen(10, (nothing(3), nothing(3)))]
    history = advanced(levelled(History.empty(("a", "b"), 3), seen, None), 10)
    assert history.sums == (seen[0].sums[0], nothing(3))
    assert history.newest_s == 10


def test_of_new_arms_and_of_those_that_are_reset_nothing_is_known():
    history = advanced(levelled(History.empty(("a", "b"), 3), buckets(3), None), 30)
    assert history.with_arms(("c", "b", "a"), ["a"]).sums == (nothing(3), history.sums[1], nothing(3))


def test_what_is_known_is_written_and_read_back():
    history = advanced(levelled(History.empty(("a", "b"), 3), buckets(3), None), 30)
    assert from_json(json.loads(json.dumps(to_json(history)))) == history
    empty = History.empty(("a",), 3)
    assert from_json(to_json(empty)) == empty


@pytest.mark.parametrize("damage", [{"size": 4}, {"sums": [[1, 2]]}, {"newest_s": "x"}, {"arms": None}, {"size": "x"}])
def test_what_is_damaged_is_refused(damage):
    with pytest.raises(BanditError):
        from_json(to_json(History.empty(("a",), 3)) | damage)
