"""How long the step of a rollout was observed: the time that counts against the step's `every`.

The rules:

1. A companion that looks at a route twice within `MOST_GAP_S` has observed the time in between.
2. A longer gap, or one that goes backwards, counts as nothing: there was an outage, the machine was suspended, or its
   clock was set.
3. The store has one number for each step. A companion adds what it has observed since it last saw the number, and only
   if the number is still the same. So two companions never count the same time twice, and each of them goes on where
   another one ended.
"""

from typing import NamedTuple

from router.document.document import Document

MOST_GAP_S = 5.0
"""Ten looks. A machine under load may miss some, and a look at a hundred rollouts may take two seconds."""
_LONGEST_UNSAVED_S = 10.0
_SHORTEST_UNSAVED_S = 0.5
_UNSAVED_SHARE = 50


class StepTime(NamedTuple):
    """What one companion knows of a step's time.

    `saved_ms` is the number that it last saw in the store, `unsaved_s` what it has observed since, and `looked_s` when
    it last looked, in seconds since the epoch.
    """

    saved_ms: int
    unsaved_s: float
    looked_s: float

    @property
    def observed_s(self) -> float:
        """Return how long the step was observed."""
        return self.saved_ms / 1000 + self.unsaved_s

    @property
    def next_ms(self) -> int:
        """Return the number to write to the store."""
        return self.saved_ms + int(1000 * self.unsaved_s)

    def looked(self, now_s: float) -> "StepTime":
        """Return the time after another look."""
        gap_s = now_s - self.looked_s
        counted_s = gap_s if 0 < gap_s <= MOST_GAP_S else 0.0
        return StepTime(self.saved_ms, self.unsaved_s + counted_s, now_s)

    def saved(self, number_ms: int) -> "StepTime":
        """Return the time after the store has replied with its number, whoever wrote that."""
        left_s = self.unsaved_s - (self.next_ms - self.saved_ms) / 1000 if number_ms == self.next_ms else 0.0
        return StepTime(number_ms, left_s, self.looked_s)


def every_s(document: Document) -> float:
    """Return how long the present step must be observed; 0 where there is none, or no time is asked for."""
    rollout, state = document.spec.rollout, document.rollout
    return 0.0 if rollout is None or state is None else rollout.steps[state.step].every_s


def step_source(document: Document) -> str:
    """Return the name of the store's number for the present step."""
    begun = 0 if document.rollout is None else document.rollout.since_version
    return f"step:{document.spec.route}:{begun}"


def must_be_saved(time: StepTime, step_s: float) -> bool:
    """Return True if the store must learn what was observed: every fiftieth of the step, at least every ten seconds.

    A companion that ends loses what it has not saved.
    """
    return time.unsaved_s >= min(max(step_s / _UNSAVED_SHARE, _SHORTEST_UNSAVED_S), _LONGEST_UNSAVED_S)
