"""The bodies that operators send: checked by pydantic, shown on the OpenAPI page. Decides.

A key that a body does not know is refused: of a word that was mistyped, the opposite might be done.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr

from gateway.api.operators.responses import RouteSpec

LARGEST_VERSION = 10**18 - 1
"""What every store can count to."""


def _writable(text: str) -> str:
    """JSON can name lone surrogates, which are no text: neither the store nor an answer can hold them."""
    return text.encode("utf-8", "replace").decode()


Text = Annotated[str, AfterValidator(_writable)]


class Ask(BaseModel):
    """What every command may say."""

    model_config = ConfigDict(extra="forbid")

    why: Text = Field("", description="The reason, kept in the history.")


class PromoteBody(Ask):
    """`{"shadow": "fraud:17"}` makes a shadow's version the candidate and begins its rollout."""

    shadow: Text | None = Field(None, description="A shadow of the route; absent: the candidate gets everything.")


class AbortBody(Ask):
    """`{"arm": "canary"}`."""

    arm: Text | None = Field(None, description="The arm; in a rollout it may be left out.")


class UndoBody(Ask):
    """`{"to": 3}`."""

    to: Annotated[StrictInt, Field(ge=1, le=LARGEST_VERSION)] | None = Field(
        None, description="The version of the document to go back to; absent: the one before."
    )


class ReleaseBody(Ask):
    """`{"version": "17"}`."""

    version: Text = Field(min_length=1, description="A model version that is in quarantine on this route.")


class ShiftBody(Ask):
    """`{"weights": {"canary": "20%"}}`: percent, the sign being optional."""

    weights: Mapping[Text, StrictInt | StrictFloat | StrictStr] = Field(min_length=1)


class Declaration(BaseModel):
    """A route, and the version of it that is replaced."""

    model_config = ConfigDict(extra="forbid")

    spec: RouteSpec
    expected: Annotated[StrictInt, Field(ge=0, le=LARGEST_VERSION)] = Field(description="0: the route must be new.")


class ApplyBody(Ask):
    """Several routes, which are declared together or not at all."""

    routes: list[Declaration] = Field(min_length=1)
