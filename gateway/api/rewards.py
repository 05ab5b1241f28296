"""`POST /v2/rewards`: hands the body on, with the routes that the caller's credential allows, and nothing else.

`POST /api/routes/{route}/rewards` does it for `pointsman reward import`, which names decisions as the log does.
"""

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from bandits.linear.context import MOST_FEATURES
from gateway.access.middleware import caller_of
from gateway.api.error_responses import raises
from gateway.errors import RewardsNotCounted
from gateway.protocols.rewards import MAX_REWARDS, SendRewards
from router.spec.parse import MAX_ARMS

_SCOPE = "reward"


class Reward(BaseModel):
    """What happened after a decision. Without a value or label it can only be a retraction."""

    model_config = ConfigDict(extra="forbid")

    decision: str = Field(description="The token that came with the prediction, in x-decision-token.")
    metric: str = Field(description="A metric that the route declares.")
    value: float = Field(0, description="A number in the metric's range.")
    label: str | float = Field("", description="The class or the number that was true, of a metric that is a label.")
    event: str = Field("", max_length=128, description="The event's id. Without it the decision has one event.")
    op: Literal["add", "set", "retract"] = Field(
        "add", description="The event happened, has another value than was said before, or did not happen."
    )
    time: str = Field(
        "", description="When it happened (RFC 3339). Without it: now.", json_schema_extra={"format": "date-time"}
    )


class LoggedDecision(BaseModel):
    """What the log says of a decision."""

    model_config = ConfigDict(extra="forbid")

    decision_id: str = Field(min_length=1, max_length=128)
    policy_version: int = Field(ge=0, le=2**53)
    arm: str = Field(min_length=1, max_length=128)
    propensity: float | None = Field(ge=0, le=1, description="Null if the arm was not drawn.")
    decided_us: int = Field(ge=0, le=2**53, description="When its request arrived, microseconds since the epoch.")
    latency_us: int = Field(ge=0, le=2**53)
    group: int = Field(ge=-1, le=63, description="The group of its unit; -1 without one.")
    context: list[float] = Field(
        [], max_length=MOST_FEATURES - 1, description="What a contextual bandit saw: features as shares of 1."
    )
    weights: dict[str, float] = Field({}, max_length=MAX_ARMS, description="The weights of the arms, as in the log.")


class ImportedReward(Reward):
    """A reward of a decision that the log has."""

    decision: LoggedDecision  # type: ignore[assignment]  # in place of the token


class RewardResult(BaseModel):
    """What became of a reward."""

    model_config = ConfigDict(extra="forbid")

    result: Literal["counted", "duplicate", "late", "refused"]
    error: str = Field("", description="Why it was refused.")


class RewardResults(BaseModel):
    """One result for each reward, in order."""

    model_config = ConfigDict(extra="forbid")

    results: list[RewardResult]


def _body(kind: type[Reward], **more: Any) -> dict[str, Any]:
    """Return the schema of the body. Only `decision` and `metric` are needed, so the others have no default there."""
    reward = kind.model_json_schema()
    for defined in reward.pop("$defs", {}).values():
        reward["properties"]["decision"] = defined
    for described in reward["properties"].values():
        described.pop("default", None)
    rewards = {"type": "array", "minItems": 1, "maxItems": MAX_REWARDS, "items": reward}
    schema = {
        "type": "object",
        "properties": {"rewards": rewards, **more},
        "required": ["rewards", *more],
        "additionalProperties": False,
    }
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _errors() -> dict[int | str, dict[str, Any]]:
    errors = raises(RewardsNotCounted)
    headers = errors[503]["headers"]
    headers["retry-after"] = {"description": "The number of seconds to wait.", "schema": {"type": "integer"}}
    return errors


def rewards_router(send: SendRewards) -> APIRouter:
    """Build the router. `send` counts the rewards of a body."""
    router = APIRouter(tags=["Rewards"])
    source = {"type": "string", "minLength": 1, "maxLength": 256, "description": "Such as import orders.csv."}

    @router.post(
        "/v2/rewards",
        status_code=202,
        response_model=RewardResults,
        responses=_errors(),
        openapi_extra={"requestBody": _body(Reward)},
    )
    async def send_rewards(request: Request) -> Response:
        """Report what happened after decisions. Each reward has a result of its own.

        One that is refused costs no other. A reward may be sent again: an event of a decision counts once.
        """
        caller = caller_of(request.scope)
        routes = None if caller is None else caller.grants.get(_SCOPE, frozenset())
        content = await send("http", await request.body(), routes)
        return Response(content, 202, media_type="application/json")

    @router.post(
        "/api/routes/{route}/rewards",
        status_code=202,
        response_model=RewardResults,
        responses=_errors(),
        openapi_extra={"requestBody": _body(ImportedReward, source=source)},
    )
    async def import_rewards(route: str, request: Request) -> Response:
        """Report what happened after decisions that the log has, as `pointsman reward import` does."""
        content = await send("import", await request.body(), (route,))
        return Response(content, 202, media_type="application/json")

    return router
