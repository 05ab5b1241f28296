"""Routes to decide on."""

from collections.abc import Callable
from typing import Any

import pytest

from router.commands import Declare, apply
from router.document import Document, parse_spec


@pytest.fixture
def declared() -> Callable[..., Document]:
    """`declared(a="90%", b="10%", seed="x")`: a new route r whose arms a, b, … are m:1, m:2, …."""

    def declare(**keys: Any) -> Document:
        split = {name: share for name, share in keys.items() if len(name) == 1}
        arms = {name: f"m:{number}" for number, name in enumerate(split, 1)}
        more = {name: value for name, value in keys.items() if len(name) > 1}
        return apply(None, Declare(parse_spec({"route": "r", "arms": arms, "split": split, **more})))

    return declare
