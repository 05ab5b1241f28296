"""Declarations, versions and a moment that the tests of the router share."""

from typing import Any

from router.compile import Pin, compile_route, references
from router.document.document import Candidate, Document
from router.snapshot import Route

SPLIT: dict[str, Any] = {
    "route": "fraud",
    "arms": {"stable": "fraud@champion", "canary": "fraud:17"},
    "split": {"stable": "90%", "canary": "10%"},
    "unit": "header:X-User-Id",
    "fallback": "stable",
    "deadline": "200ms",
    "batch_wait": "2ms",
    "placement": "dedicated",
    "seed": "spring",
}

ROLLOUT: dict[str, Any] = {
    "route": "r",
    "arms": {"stable": "m@champion", "canary": "m@challenger"},
    "rollout": {"of": "canary", "steps": ["1%", "5%", "25%"], "every": "10m"},
}

T0 = 1_000_000.0
STEP_S = 600.0
"""The length of a step of `ROLLOUT`."""

V1 = Candidate("1", "digest-1")
V2 = Candidate("2", "digest-2")
V3 = Candidate("3", "digest-3")


def compiled(document: Document) -> Route:
    """Compile a document. Every alias names version 9, and every version has a digest of its own."""
    refs = references(document)
    return compile_route(
        document, {name: Pin(ref.version or "9", f"digest-{ref.version or 9}") for name, ref in refs.items()}
    )
