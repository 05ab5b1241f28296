"""An update waits for the burn-in, but never to keep to the bounds."""

from bandits.bounds.bounds import Bounds
from bandits.bounds.next_slots import lacking_arms, next_slots
from bandits.policies.epsilon_greedy import EpsilonGreedy
from bandits.slots import SLOTS
from tests.unit.bandits.support import estimates

POLICY = EpsilonGreedy(0.3)
EVEN = (3400, 3300, 3300)


def test_weights_stay_until_each_arm_has_its_decisions():
    bounds = Bounds((0,) * 3, (SLOTS,) * 3, burn_in=100)
    early, late = estimates([100, 99, 500], [0.1, 0.2, 0.3]), estimates([100, 100, 500], [0.1, 0.2, 0.3])
    assert lacking_arms(early.decisions, bounds) == (1,)
    assert next_slots(POLICY, early, bounds, EVEN) == EVEN
    assert lacking_arms(late.decisions, bounds) == ()
    assert next_slots(POLICY, late, bounds, EVEN) == (1000, 1000, 8000)


def test_bounds_hold_during_the_burn_in_with_the_fewest_changes():
    bounds = Bounds((0, 0, 200), (SLOTS, 1000, SLOTS), burn_in=100)
    early = estimates([10, 10, 10], [0.1, 0.2, 0.3])
    # 200 slots are taken from 9000 and 1000 in proportion. Then 3000 that
    # are too many go to the level at which .4 level + .02 + .2 level = .9.
    assert next_slots(POLICY, early, bounds, (9000, 1000, 0)) == (8820, 980, 200)
    assert next_slots(POLICY, early, bounds, (4000, 4000, 2000)) == (5867, 1000, 3133)


def test_the_others_do_not_wait_for_an_arm_that_gets_nothing():
    bounds = Bounds((0,) * 3, (0, SLOTS, SLOTS), burn_in=100)
    known = estimates([1, 100, 100], [0.9, 0.2, 0.3])
    assert lacking_arms(known.decisions, bounds) == ()
    assert next_slots(POLICY, known, bounds, (0, 5000, 5000))[0] == 0


def test_an_update_moves_at_most_the_largest_change():
    bounds = Bounds((100,) * 3, (SLOTS,) * 3, largest_change=500)
    known = estimates([1000] * 3, [0.1, 0.2, 0.3])
    first = next_slots(POLICY, known, bounds, EVEN)
    # The target is (1070, 1070, 7860): of the losses 2330 and 2230, the parts are 500/4560.
    assert first == (3145, 3055, 3800)
