"""The state of a version, as people read it."""

from collections.abc import Mapping
from typing import Any


def state_of(version: Mapping[str, Any]) -> str:
    """Return the state of a version as the API says it: what is being done now, if it is being tried or waits."""
    trying, state = version.get("trying"), str(version["state"])
    if trying:
        now = f"trying: {trying['step']}, {trying['seconds']:.0f} s"
        return now if state == "LOADING" else f"{state}, {now}"
    if state == "LOADING":
        return "waits"
    return f"{state}, serves" if version.get("serves") else state
