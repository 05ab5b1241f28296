"""The responses of the operators' API about model versions: pydantic models, shown on the OpenAPI page.

The class names are the names of the page's components, so they are public.
"""

from typing import Literal

from pydantic import BaseModel, Field


class StepStatus(BaseModel):
    """A step of the check of a version that has ended."""

    step: str = Field(description="Such as `warm-up`.")
    state: Literal["ok", "remark", "failed"]
    detail: str = Field(description="What was found, or why it failed.")
    seconds: float


class TryingStatus(BaseModel):
    """The step of the check that is being done now, on the machine of the responding replica."""

    step: str
    seconds: float = Field(description="For how long the version has been tried.")


class HeldVersion(BaseModel):
    """A version that the responding replica holds, waits for, or has tried; or that its machine has tried."""

    model: str
    version: str
    digest: str = Field(description="SHA-256 of the artifact.")
    state: Literal["READY", "QUARANTINED", "LOADING", "TRIED"] = Field(
        description="LOADING: it is being tried, or waits. TRIED: it passed, and this replica has not loaded it."
    )
    serves: bool = Field(description="A route of the responding replica serves it.")
    reason: str = Field(description="Why the version is quarantined, or what it waits for.")
    trying: TryingStatus | None
    tried_at_s: float | None = Field(description="When its last check here ended, in seconds since the epoch.")
    steps: list[StepStatus] = Field(description="The steps of its last check on this machine.")
    run_id: str = Field(description="The training run; empty: not known. So are the next two.")
    data_set: str
    registered_by: str
    tags: dict[str, str] = Field(description="The version's tags, of the registry and of its model.yaml.")
    packages: list[str] = Field(description="What made it and what it needs, such as scikit-learn==1.9.1.")
    batching: str = Field(
        description="batched, or why requests are never run together; empty: it has not been tried by this replica."
    )
    memory_bytes: int = Field(description="What the version takes, as its trial has measured it; 0: not known.")
