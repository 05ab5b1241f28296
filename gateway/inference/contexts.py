"""The weights of one request, where a bandit's weights depend on its context."""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, NamedTuple

from bandits.linear.context import Category, Column, Context, Number, Value
from bandits.linear.packed import pack
from bandits.linear.policy_weights import PolicyWeights
from gateway.inference.context_readers import readers_of
from inference_log.request_slots import packer, placed
from router.snapshot import Contextual, Route
from router.spec.context import ContextColumn
from runtimes.datatypes import Tensor
from runtimes.manifest import Signature


class Weighed(NamedTuple):
    """The context of a request in bytes, and the slots of the route's arms for it; None without models.

    `logged` are the slots by which its arm is drawn, as the log has them.
    """

    vector: bytes
    slots: tuple[int, ...] | None
    logged: bytes


SealedSlots = Callable[[Weighed | None], bytes]


def encoder_of(columns: Sequence[ContextColumn]) -> Context:
    """Return what makes vectors of declared contexts.

    Raises:
        BanditError: the context has too many features.
    """
    return Context(tuple(_column(each) for each in columns))


class RequestWeights:
    """What a replica prepares of one learned policy. Without models it encodes contexts and weighs nothing.

    `slots` are those of the route's arms, by which arms are drawn without models.

    Raises:
        BanditError: the policy does not exist, or its models are damaged.
    """

    def __init__(self, contextual: Contextual, slots: Sequence[int], unbatched: Container[str]) -> None:
        columns, models = contextual.columns, contextual.models
        attributes = [(column.attribute, not column.words) for column in columns]
        self.needs_one_instance = any(each.source == "inputs" and each.name not in unbatched for each, _ in attributes)
        self._readers = readers_of(attributes, unbatched)
        self._context = encoder_of(columns)
        self._weights = None if models is None else PolicyWeights(models, len(self._context.features))
        order = [arm for arm in contextual.order if arm is not None]
        self._pack = packer(len(slots))
        self._of_route = self._pack(slots)
        self._places = None if order == list(range(len(contextual.order))) else contextual.order

    def weigh(
        self,
        headers: Mapping[bytes, bytes],
        parameters: Mapping[str, Any],
        inputs: Mapping[str, Tensor],
        unit: str | None,
    ) -> Weighed:
        """Return the weights of a request. No request makes this raise."""
        values: list[Value] = []
        for read in self._readers:
            values += read(headers, parameters, inputs, unit)
        vector = self._context.encode(values)
        if self._weights is None:
            return Weighed(pack(vector), None, self._of_route)
        slots = self._in_route(self._weights.slots(vector))
        return Weighed(pack(vector), slots, self._pack(slots))

    def _in_route(self, slots: tuple[int, ...]) -> tuple[int, ...]:
        """Return the slots of the arms that the route has. An arm that it leaves out has none."""
        if self._places is None:
            return slots
        return tuple([owned for owned, place in zip(slots, self._places, strict=True) if place is not None])


def request_weights(route: Route, signature: Signature) -> RequestWeights | None:
    """Return what weighs the requests of a route; None if its weights do not depend on the request.

    Raises:
        BanditError: the policy does not exist, or its models are damaged.
    """
    if route.contextual is None:
        return None
    return RequestWeights(route.contextual, [arm.slots for arm in route.arms], unbatched_inputs(signature))


def sealed_slots(route: Route) -> SealedSlots | None:
    """Return what gives the slots by which a request was drawn, in the order of the document, for its token.

    It takes what the request weighs, if that depends on it. None if no guardrail compares rewards of a bandit.
    """
    if route.weighing is None:
        return None
    places = {arm.name: place for place, arm in enumerate(route.arms)}
    order = [places.get(arm) for arm in route.weighing.arms]
    of_route = placed(packer(len(route.arms))([arm.slots for arm in route.arms]), order)
    if route.contextual is None:
        return lambda _: of_route
    if order == list(range(len(route.arms))):
        return lambda weighed: of_route if weighed is None else weighed.logged
    return lambda weighed: of_route if weighed is None else placed(weighed.logged, order)


def unbatched_inputs(signature: Signature) -> frozenset[str]:
    """Return the inputs whose first dimension does not count instances."""
    return frozenset(spec.name for spec in signature.inputs if not signature.counts_instances(spec))


def _column(column: ContextColumn) -> Column:
    if column.words:
        return Category(column.path, column.words)
    return Number(column.path, column.low, column.high, column.fill)
