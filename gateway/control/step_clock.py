"""Measures how long steps of rollouts were observed, together with the companions of other machines.

The store's number of a step is kept as a counted source (`Store.advance`), which moves by compare-and-set.
"""

from collections.abc import Iterable

from router.document.document import Document
from router.document.phase import Phase
from router.document.step_time import StepTime, every_s, must_be_saved, step_source
from store.interface import Store


class StepClock:
    """One per companion, used by one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, StepTime] = {}
        self._unsaved: set[str] = set()

    def observe(self, document: Document, now_s: float) -> float:
        """Note that the route is observed at `now_s`. Return for how many seconds its step was observed.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        if not _is_timed(document):
            return 0.0
        source = step_source(document)
        time = (self._known.get(source) or self._first(document, source, now_s)).looked(now_s)
        self._known[source] = time
        if must_be_saved(time, every_s(document)):
            self._unsaved.add(source)
        return time.observed_s

    def save(self) -> None:
        """Let the store learn what was observed, where that is due: with a single write, however many steps there are.

        Raises:
            StoreUnavailable: the store does not answer. Nothing is lost; the next call saves it.
        """
        due = {source: self._known[source] for source in self._unsaved & self._known.keys()}
        if due:
            ends = self._store.advance({source: (time.saved_ms, time.next_ms) for source, time in due.items()})
            self._known |= {source: time.saved(ends[source]) for source, time in due.items()}
        self._unsaved.clear()

    def _first(self, document: Document, source: str, now_s: float) -> StepTime:
        """Return what is known of a step before its first look here. A step that just began was observed since then."""
        saved_ms = self._store.counted(source)
        began_s = now_s if saved_ms or document.rollout is None else document.rollout.since_s
        return StepTime(saved_ms, 0.0, began_s)

    def forget_ended(self, documents: Iterable[Document]) -> None:
        """Forget the steps that have ended, here and in the store. `documents` are the newest of all routes.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        under_way = {step_source(document) for document in documents if _is_timed(document)}
        for source in self._known.keys() - under_way:
            self._store.forget_source(source)
            del self._known[source]


def read_observed_s(store: Store, documents: Iterable[Document]) -> dict[str, float]:
    """Return for how many seconds the steps of these routes were observed, as far as the store knows, by route.

    Routes without a step that time may end are left out.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    sources = {step_source(document): document.spec.route for document in documents if _is_timed(document)}
    ends = store.counted_each(sources) if sources else {}
    return {route: ends[source] / 1000 for source, route in sources.items()}


def _is_timed(document: Document) -> bool:
    """Return True if the route is in a step that time may end."""
    state = document.rollout
    return state is not None and state.phase is Phase.PROGRESSING and every_s(document) > 0
