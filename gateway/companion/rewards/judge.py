"""Judges each reward of a request: what it is a reward for, and whether it may be what it says."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from bandits.linear.context import SCALE
from bandits.linear.packed import pack
from gateway.companion.rewards.documents import RewardDocuments, RewardRefused
from gateway.companion.rewards.values import CLOCKS_DIFFER_US, check_event, check_time, check_value
from gateway.inference.decision_token import Decision, Declared, TokenRefused, open_token
from gateway.inference.token_key_file import TokenKeyFile
from gateway.inference.token_keys import OPENS_FOR_S
from gateway.protocols.rewards import SentReward, Unreadable, printable
from gateway.protocols.rewards_import import ImportedReward, LoggedDecision
from inference_log.record import Reward, RewardContext
from inference_log.request_slots import from_weights
from router.quantities import format_duration
from router.refusals import short_repr
from router.rewards.buckets import is_late
from router.rewards.events import Operation
from router.spec.metric import MetricSpec


class Accepted(NamedTuple):
    """A reward that goes into the log."""

    context: RewardContext
    decision: Decision
    metric: str
    event: str
    operation: Operation
    event_us: int
    value: float | str
    arrived_us: int
    is_late: bool
    source: str

    @property
    def route(self) -> str:
        """The route of the decision."""
        return self.context.route

    def entry(self, context: int, writer_seq: int) -> Reward:
        """Return the entry of the log."""
        _, decision, metric, event, operation, event_us, value, arrived_us, late, source = self
        return Reward(
            context,
            writer_seq,
            decision.decision_id,
            decision.decided_us,
            decision.latency_us,
            decision.propensity,
            decision.group,
            metric,
            event,
            operation,
            event_us,
            value,
            arrived_us,
            late,
            source,
            decision.context or None,
            decision.slots or None,
        )


class Refusal(NamedTuple):
    """A reward that counts nowhere, and why. `route` and `metric` are empty as long as they are not known."""

    sentence: str
    route: str = ""
    metric: str = ""


class Judge:
    """Any thread may use it."""

    def __init__(self, documents: RewardDocuments, keys: TokenKeyFile) -> None:
        self._documents = documents
        self._keys = keys

    def judge(
        self,
        rewards: Sequence[SentReward | ImportedReward | Unreadable],
        routes: Collection[str] | None,
        arrived_us: int,
        source: str,
    ) -> list[Accepted | Refusal]:
        """Return each reward as it goes into the log, or why it does not. Those of other `routes` are refused.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        one = _Request(self._documents, self._keys, routes, arrived_us, source)
        return [
            Refusal(each.sentence) if isinstance(each, Unreadable) else one.judge(each, place)
            for place, each in enumerate(rewards)
        ]


class _Request:
    """What the rewards of one request share. Decisions that were refused are not looked for again."""

    def __init__(
        self,
        documents: RewardDocuments,
        keys: TokenKeyFile,
        routes: Collection[str] | None,
        arrived_us: int,
        source: str,
    ) -> None:
        self._documents = documents
        self._keys = keys
        self._routes = routes
        self._arrived_us = arrived_us
        self._source = source
        self._declared: Declared = documents.declared(routes)
        self._has_looked = False
        self._gone: dict[tuple[str, int, str], str] = {}

    def judge(self, reward: SentReward | ImportedReward, place: int) -> Accepted | Refusal:
        """Return what becomes of one reward, which has this place in the request."""
        route = name = ""
        try:
            if isinstance(reward, ImportedReward):
                sent, decision = reward.sent, self._logged(reward.decision)
            else:
                sent, decision = reward, self._open(reward.decision)
                self._check_age(decision)
            route = decision.route
            context = self._context(decision)
            if isinstance(reward, ImportedReward) and context.weighing is not None and reward.decision.weights:
                slots = from_weights(reward.decision.weights, context.weighing.arms)
                decision = decision._replace(slots=slots)
            metric = _metric(context, sent.metric)
            name = metric.name
            return Accepted(
                context=context,
                decision=decision,
                metric=name,
                event=check_event(sent.event),
                operation=sent.op,
                event_us=check_time(sent, decision.decided_us, self._arrived_us, place),
                value=check_value(sent, metric),
                arrived_us=self._arrived_us,
                is_late=is_late(metric, decision.decided_us, self._arrived_us),
                source=self._source,
            )
        except (RewardRefused, TokenRefused) as error:
            return Refusal(printable(str(error)), route, name)

    def _open(self, token: str) -> Decision:
        """Open a token. If it is refused, see once whether its route was declared a moment ago."""
        try:
            return open_token(token, self._keys.current, self._declared)
        except TokenRefused:
            if self._has_looked:
                raise
            self._has_looked = True
            if not self._documents.look():
                raise
        self._declared = self._documents.declared(self._routes)
        return open_token(token, self._keys.current, self._declared)

    def _logged(self, named: LoggedDecision) -> Decision:
        """Return a decision that the log has, of the only route whose decisions may be rewarded."""
        (route,) = self._routes or ("",)
        life_us = self._documents.life_us(route)
        if life_us is None and self._documents.look():
            life_us = self._documents.life_us(route)
        if life_us is None:
            raise RewardRefused(f"There is no route {route}.")
        if not life_us <= named.decided_us <= self._arrived_us + CLOCKS_DIFFER_US:
            raise RewardRefused(
                f"Decision {short_repr(named.decision_id)} was made before route {route} was declared, or is in the "
                "future."
            )
        return Decision(
            decision_id=named.decision_id,
            route=route,
            declared_us=life_us,
            policy_version=named.policy_version,
            arm=named.arm,
            propensity=named.propensity,
            decided_us=named.decided_us,
            latency_us=named.latency_us,
            group=named.group,
            context=pack([SCALE, *(round(SCALE * feature) for feature in named.context)]) if named.context else b"",
        )

    def _check_age(self, decision: Decision) -> None:
        """Refuse a token that no key would have to open any more. Younger ones may be late."""
        if self._arrived_us - decision.decided_us > OPENS_FOR_S * 1_000_000:
            raise RewardRefused(
                f"The decision was made more than {format_duration(OPENS_FOR_S)} ago, which is longer than the longest "
                "window that a metric may have."
            )

    def _context(self, decision: Decision) -> RewardContext:
        version = decision.route, decision.policy_version, decision.arm
        if version in self._gone:
            raise RewardRefused(self._gone[version])
        try:
            return self._documents.context(decision)
        except RewardRefused as error:
            self._gone[version] = str(error)
            raise


def _metric(context: RewardContext, name: str) -> MetricSpec:
    """Return the metric of a name.

    Raises:
        RewardRefused: there is none, or it is computed.
    """
    found = next((each for each in context.metrics if each.name == name), None)
    reported = [each.name for each in context.metrics if not each.formula]
    if found is None:
        if not reported:
            raise RewardRefused(
                f"Route {context.route} had no metrics at version {context.policy_version}, which made the decision."
            )
        raise RewardRefused(f"Route {context.route} has no metric {short_repr(name)}; it has {', '.join(reported)}.")
    if found.formula:
        raise RewardRefused(f"Metric {name} is computed from {', '.join(found.parts)}, and is not reported itself.")
    return found
