"""Rejects a strict route if the log has no second place for its rows."""

from router.errors import Rejected
from router.spec.log import Durability
from router.spec.spec import RouteSpec


def require_second_place(spec: RouteSpec, *, is_there: bool) -> None:
    """Reject a strict route unless there is a second place.

    Raises:
        Rejected: there is none.
    """
    if spec.log.durability is Durability.STRICT and not is_there:
        raise Rejected(
            f"Route {spec.route}: log.durability is strict, and the log is in a directory. The loss of its machine "
            "would take an answered row: set POINTSMAN_LOG to s3://BUCKET/PREFIX, or declare durable."
        )
