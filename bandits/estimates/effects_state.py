"""What is kept of all periods for `bandits.estimates.effects`."""

from collections.abc import Sequence
from math import fsum
from typing import NamedTuple

from bandits.estimates.comparisons import Comparisons, edges, forget, nothing, rearrange
from bandits.estimates.numbers import Numbers, check_arms, pick


class Group(NamedTuple):
    """A group of units: its decisions by arm, and what periods say without the group."""

    decisions: Numbers
    without: Comparisons


class EffectsState(NamedTuple):
    """Sums over periods, each discounted by its age. `arms` are the names of the arms, in whose order numbers are."""

    arms: tuple[str, ...]
    newest_s: int | None
    """When the newest period began."""
    decisions: Numbers
    comparisons: Comparisons
    squares: float
    """Squared differences of rewards from the mean of their period, summed."""
    spare: float
    """Degrees of freedom of `squares`."""
    own_squares: Numbers
    """Squared differences from the mean of their arm and period, summed by arm."""
    own_spare: Numbers
    recent_decisions: Numbers
    """Those of the newest periods, for the level."""
    recent_rewards: Numbers
    counted: float
    """All decisions, with those of arms that are gone."""
    counted_squared: float
    """The same, with squared discounts."""
    groups: tuple[Group, ...]
    """Empty on routes without units."""

    @classmethod
    def empty(cls, arms: Sequence[str], groups: int = 0) -> "EffectsState":
        """Return the state before the first period. `groups` is the number of groups of units, 0 without units."""
        none = (0.0,) * len(arms)
        start = nothing(len(arms))
        return cls(
            check_arms(arms),
            None,
            none,
            start,
            0.0,
            0.0,
            none,
            none,
            none,
            none,
            0.0,
            0.0,
            (Group(none, start),) * groups,
        )

    def with_arms(self, arms: Sequence[str], reset: Sequence[str] = ()) -> "EffectsState":
        """Return the state of a route whose arms are now `arms`, of which those in `reset` are new in all but name.

        What arms that are gone or reset say of the others is kept, and nothing else of them. Their decisions still
        mature: fold those with zeros for the arm.
        """
        forgotten = [arm for arm in self.arms if arm not in arms or arm in reset]
        state = self
        for arm in forgotten:
            state = state._forget(state.arms.index(arm))
        sources = [state.arms.index(arm) if arm in state.arms else None for arm in arms]
        return state._replace(
            arms=check_arms(arms),
            decisions=pick(state.decisions, sources),
            comparisons=rearrange(state.comparisons, sources),
            own_squares=pick(state.own_squares, sources),
            own_spare=pick(state.own_spare, sources),
            recent_decisions=pick(state.recent_decisions, sources),
            recent_rewards=pick(state.recent_rewards, sources),
            groups=tuple(
                Group(pick(each.decisions, sources), rearrange(each.without, sources)) for each in state.groups
            ),
        )

    def _forget(self, arm: int) -> "EffectsState":
        """Return the state with an arm of which nothing is known."""

        def cleared(numbers: Numbers) -> Numbers:
            return (*numbers[:arm], 0.0, *numbers[arm + 1 :])

        compared = fsum(edges(self.comparisons, arm))
        taken = self.comparisons.excess[arm] * self.comparisons.excess[arm] / compared if compared else 0.0
        return self._replace(
            decisions=cleared(self.decisions),
            comparisons=forget(self.comparisons, arm),
            squares=max(self.squares - taken, 0.0),  # its effect is fitted, and takes a degree of freedom
            spare=max(self.spare - (1.0 if compared else 0.0), 0.0),
            own_squares=cleared(self.own_squares),
            own_spare=cleared(self.own_spare),
            recent_decisions=cleared(self.recent_decisions),
            recent_rewards=cleared(self.recent_rewards),
            groups=tuple(Group(cleared(each.decisions), forget(each.without, arm)) for each in self.groups),
        )
