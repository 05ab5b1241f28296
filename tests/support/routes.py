"""Routes declared in a store, as an operator's command declares them."""

import time
from collections.abc import Mapping
from typing import Any

from router.document.apply import apply
from router.document.commands import Declare
from router.spec.parse import parse_spec
from store.entry import Change, Entry
from store.interface import Store


def declare(store: Store, raw: Mapping[str, Any]) -> None:
    """Declare a route, or declare it anew."""
    spec = parse_spec(dict(raw))
    entry = store.read(spec.route)
    document = apply(entry.document if entry else None, Declare(spec, time.time()))
    store.compare_and_set([Entry(document, Change(who="test", at_s=time.time(), what="apply"))])
