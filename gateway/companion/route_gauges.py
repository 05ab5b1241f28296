"""Gauges of routes: how traffic is divided, where rollouts and bandits stand, what guardrails say.

Every companion publishes the same numbers, since all read one store.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from bandits.best.correlated import best_of_correlated
from bandits.errors import BanditError
from gateway.telemetry.metric_table import ARM_WEIGHT, BEST_PROBABILITY, PHASE, POLICY_AGE, STEP, VERDICT
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.published import Labels
from router.document.document import Document
from router.document.learned import LearnedPolicy
from router.draw.assignment import BUCKETS
from router.evidence.guardrails import GuardrailFinding

_Values = list[tuple[Labels, float]]


class RouteGauges:
    """One per companion. One thread calls it."""

    def __init__(self) -> None:
        self._weights: dict[str, tuple[Document, _Values]] = {}
        self._best: dict[str, tuple[LearnedPolicy, _Values]] = {}
        self._turn: deque[str] = deque()

    def publish(
        self,
        metrics: Metrics,
        documents: Mapping[str, Document],
        policies: Mapping[str, LearnedPolicy],
        verdicts: Mapping[str, Sequence[GuardrailFinding]],
        now_s: float,
    ) -> None:
        """Set the gauges to what is known at `now_s`, in seconds since the epoch.

        `policies` are the newest learned policies, by route. Those of an earlier life of a route do not count.
        """
        learned = {
            route: policy
            for route, policy in policies.items()
            if route in documents and documents[route].declared_us == policy.declared_us
        }
        metrics.set_gauge(ARM_WEIGHT, *self._all_weights(documents))
        metrics.set_gauge(PHASE, *(((route, each.phase), 1.0) for route, each in documents.items() if each.phase))
        metrics.set_gauge(STEP, *_steps(documents))
        metrics.set_gauge(
            POLICY_AGE, *(((route,), max(0.0, now_s - each.at_us / 1e6)) for route, each in learned.items())
        )
        metrics.set_gauge(BEST_PROBABILITY, *self._all_best(documents, learned))
        metrics.set_gauge(
            VERDICT,
            *(
                ((route, found.arm, found.guardrail, found.verdict.state.value), 1.0)
                for route, findings in verdicts.items()
                for found in findings
            ),
        )

    def _all_weights(self, documents: Mapping[str, Document]) -> Iterator[tuple[Labels, float]]:
        known, self._weights = self._weights, {}
        for route, document in documents.items():
            kept = known.get(route)
            if kept is None or kept[0].slots is not document.slots:
                kept = document, [((route, arm), slots / BUCKETS) for arm, slots in document.weights.items()]
            self._weights[route] = kept
            yield from kept[1]

    def _all_best(
        self, documents: Mapping[str, Document], learned: Mapping[str, LearnedPolicy]
    ) -> Iterator[tuple[Labels, float]]:
        """Yield the probabilities. Those of one new policy are computed at each call, since they take milliseconds."""
        self._best = {route: each for route, each in self._best.items() if route in learned}
        waiting = {route for route, each in learned.items() if self._best.get(route, (None,))[0] is not each}
        self._turn = deque(route for route in self._turn if route in waiting)
        self._turn.extend(sorted(waiting.difference(self._turn)))
        if self._turn:
            route = self._turn.popleft()
            self._best[route] = learned[route], _best(documents[route], learned[route])
        for _, values in self._best.values():
            yield from values


def _steps(documents: Mapping[str, Document]) -> Iterator[tuple[Labels, float]]:
    for route, document in documents.items():
        if document.rollout is not None:
            yield (route,), document.rollout.step + 1.0


def _best(document: Document, policy: LearnedPolicy) -> _Values:
    """Return the probability of each arm to be the best; nothing of a contextual policy, or of too many arms."""
    seen = policy.content.get("estimates")
    if seen is None or len(seen[0]) != len(document.spec.arms):
        return []
    try:
        probabilities = best_of_correlated(seen[1], seen[2])
    except BanditError:
        return []
    return [((document.spec.route, arm), each) for arm, each in zip(document.spec.arms, probabilities, strict=True)]
