"""Predicts for a strict route: the answer is returned once all rows of the request are in the second place.

The rows say what the arms did. A request that is then not answered, because its rows are not known to be there, has a
further row that says so: the outcome is `rejected`, and the error code `RowNotConfirmed`.
"""

from gateway.errors import BadRequest, ClientGone, RowNotConfirmed
from gateway.inference.call import Answer, Call
from gateway.inference.live_table import LiveRoute
from gateway.inference.predictor import Predictor
from gateway.inference.strict.second_place import SecondPlace
from gateway.inference.traced import Predict
from router.errors import Quarantined, UnknownVersion

_WITHIN_S = 5.0
"""How long a request waits for the second place, from its arrival, if neither route nor caller set a deadline."""

_NO_PLACE = (
    "Route {} is strict, and the log of this machine is in a directory, which its loss would take: "
    "set POINTSMAN_LOG to s3://BUCKET/PREFIX, or declare durable."
)


class StrictPredictor:
    """One per replica. `place` is None if the log is where a machine's loss reaches it."""

    def __init__(self, predictor: Predictor, place: SecondPlace | None) -> None:
        self._predictor = predictor
        self._place = place

    async def predict(self, live: LiveRoute, call: Call, predict: Predict) -> Answer:
        """Return the answer of `predict` once its rows are in the second place. A probe has none.

        Run the coroutine with `gateway.eventloop.driver`.

        Raises:
            RowNotConfirmed: they are not known to be there within the deadline.
            Overloaded: too many requests wait for that.
            And what `predict` raises, once its rows are there, but for a client that has left and a caller's fault.
        """
        if call.probe:
            return await predict(live, call)
        if self._place is None:
            raise self._noted(live, call, RowNotConfirmed(_NO_PLACE.format(live.route.name)))
        first = self._place.require_room()
        try:
            answer = await predict(live, call)
        except (ClientGone, BadRequest, UnknownVersion, Quarantined):
            raise
        except Exception:
            await self._confirm(self._place, live, call, first)
            raise
        if answer.recorded is None:
            raise self._noted(live, call, RowNotConfirmed("The row could not be written to the log here; try again."))
        await self._confirm(self._place, live, call, first)
        return answer

    async def _confirm(self, place: SecondPlace, live: LiveRoute, call: Call, first: int) -> None:
        try:
            await place.confirm(first, _until_s(live, call))
        except RowNotConfirmed as error:
            raise self._noted(live, call, error) from None

    def _noted(self, live: LiveRoute, call: Call, error: RowNotConfirmed) -> RowNotConfirmed:
        """Return the error, once the log has a row of it."""
        refused = Call(call.decision_id, call.started_s, inputs={}, batch_size=0, sender=call.sender)
        self._predictor.reject(live, refused, error, attempt=len(live.arms))  # after all that there can be
        return error


def _until_s(live: LiveRoute, call: Call) -> float:
    """Return the end of the shorter deadline of route and caller."""
    own_s = call.started_s + (_WITHIN_S if live.route.deadline_s is None else live.route.deadline_s)
    return own_s if call.deadline_s is None else min(own_s, call.deadline_s)
