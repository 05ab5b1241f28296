"""Documents for the tests of the router."""

from collections.abc import Callable
from typing import Any

import pytest

from router.document.apply import apply
from router.document.commands import Command, Declare, Start
from router.document.document import Candidate, Document
from router.spec.parse import parse_spec
from tests.unit.router.support import ROLLOUT, T0, V2


@pytest.fixture
def declared() -> Callable[..., Document]:
    """Return `declared(a="90%", b="10%", seed="x")`: a new route r whose arms a, b, … are m:1, m:2, …."""

    def declare(**keys: Any) -> Document:
        split = {name: share for name, share in keys.items() if len(name) == 1}
        arms = {name: f"m:{number}" for number, name in enumerate(split, 1)}
        more = {name: value for name, value in keys.items() if len(name) > 1}
        return apply(None, Declare(parse_spec({"route": "r", "arms": arms, "split": split, **more})))

    return declare


@pytest.fixture
def ready() -> Callable[..., Document]:
    """Return `ready(steps=[…], unit=…)`: version 1 of the rollout in `examples`, with these keys changed."""

    def declare(**keys: Any) -> Document:
        own = {name: keys.pop(name) for name in ("of", "from", "steps", "every", "samples") if name in keys}
        spec = parse_spec({**ROLLOUT, "rollout": {**ROLLOUT["rollout"], **own}, **keys})
        return apply(None, Declare(spec, at_s=T0))

    return declare


@pytest.fixture
def begun(ready) -> Callable[..., Document]:
    """Return `begun(…)`: as `ready`, started at `T0` with version 2 as the candidate."""

    def declare(candidate: Candidate = V2, **keys: Any) -> Document:
        return apply(ready(**keys), Start(candidate, T0))

    return declare


@pytest.fixture
def after() -> Callable[..., Document]:
    """Return `after(document, *commands)`: the document after these commands."""

    def apply_all(document: Document, *commands: Command) -> Document:
        for command in commands:
            document = apply(document, command)
        return document

    return apply_all
