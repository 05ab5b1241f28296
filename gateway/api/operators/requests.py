"""The request bodies of the operators' API: pydantic models, shown on the OpenAPI page.

The class names are the names of the page's components, so they are public. A body with an unknown key is rejected:
otherwise a mistyped key would be ignored, and the gateway might do the opposite of what the operator wants.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr

from gateway.api.operators.route_schema import RouteSpec

LARGEST_VERSION = 10**18 - 1
"""The largest version number that every store can represent."""


def _writable(text: str) -> str:
    """Replace lone surrogates, which JSON can contain but neither the store nor a response can encode."""
    return text.encode("utf-8", "replace").decode()


Text = Annotated[str, AfterValidator(_writable)]


class Ask(BaseModel):
    """The part that all command bodies share."""

    model_config = ConfigDict(extra="forbid")

    why: Text = Field("", description="The reason, kept in the history.")


class PromoteBody(Ask):
    """`{"shadow": "fraud:17"}` makes a shadow's version the candidate and begins its rollout.

    `{"arm": "b"}` gives an arm of a bandit all traffic.
    """

    shadow: Text | None = Field(None, description="A shadow of the route; absent: the candidate gets all traffic.")
    arm: Text | None = Field(None, description="An arm of a bandit; absent: the one that has the most traffic.")


class ResetBody(Ask):
    """`{"arm": "b"}`."""

    arm: Text = Field(min_length=1, description="An arm of a bandit, of which everything learned is forgotten.")


class AbortBody(Ask):
    """`{"arm": "canary"}`."""

    arm: Text | None = Field(None, description="The arm; optional in a rollout.")


class UndoBody(Ask):
    """`{"to": 3}`."""

    to: Annotated[StrictInt, Field(ge=1, le=LARGEST_VERSION)] | None = Field(
        None, description="The version of the document to go back to; absent: the previous one."
    )


class ReleaseBody(Ask):
    """`{"version": "fraud:17"}`."""

    version: Text = Field(
        min_length=1, description="A version in quarantine on this route: `fraud:17`, or `17` if only one model has it."
    )


class ShiftBody(Ask):
    """`{"weights": {"canary": "20%"}}`: weights in percent. The sign is optional from 1 on."""

    weights: Mapping[Text, StrictInt | StrictFloat | StrictStr] = Field(min_length=1)


class Declaration(BaseModel):
    """A route and the version of it that this declaration replaces."""

    model_config = ConfigDict(extra="forbid")

    spec: RouteSpec
    expected: Annotated[StrictInt, Field(ge=0, le=LARGEST_VERSION)] = Field(description="0: the route must be new.")


class ApplyBody(Ask):
    """Several routes. Either all of them are declared or none."""

    routes: list[Declaration] = Field(min_length=1)
