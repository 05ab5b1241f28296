"""The routes of the study, and what is counted of them."""

import time
from collections.abc import Mapping, Sequence

from router.document.apply import apply
from router.document.commands import Declare, Start
from router.document.document import Candidate, Document
from router.evidence.sums import BUCKET_S, ERRORS, REQUESTS, SumKey, Sums
from router.spec.parse import parse_spec
from store.entry import Change, Entry
from store.interface import Store

SERVING = {"stable": Candidate("1", "1" * 64), "canary": Candidate("2", "2" * 64)}
GUARDRAILS = [{"errors": {"worse_by": "1%"}}, {"slower_than": "50ms", "worse_by": "2%"}]
_BATCH = 50
_BUCKETS = 7
_COUNTED = (REQUESTS, ERRORS, "slow:50000")


def declare(store: Store, routes: Sequence[str]) -> None:
    """Write rollouts under way, of two arms and two guardrails each."""
    for first in range(0, len(routes), _BATCH):
        entries: list[Entry] = []
        for route in routes[first : first + _BATCH]:
            now_s = time.time()
            spec = parse_spec({
                "route": route, "arms": {"stable": "m:1", "canary": "m:2"}, "fallback": "stable",
                "guardrails": GUARDRAILS,
                "rollout": {"of": "canary", "steps": ["10%", "50%", "100%"], "every": "1h"},
            })  # fmt: skip
            document: Document | None = None
            for command in (Declare(spec, now_s), Start(SERVING["canary"], now_s)):
                document = apply(document, command)
                entries.append(Entry(document, Change("study", now_s, "study")))
        store.compare_and_set(entries)


def counted(routes: Sequence[str], requests: int, errors: int = 0, before_s: float = 0.0) -> Mapping[str, Sums]:
    """Return what a machine counts of routes between two looks: so many requests of each arm, and errors of the canary.

    It is counted `before_s` seconds ago.
    """
    bucket_s = int(time.time() - before_s) // BUCKET_S * BUCKET_S
    sums = {
        SumKey(bucket_s, 2, arm, each.version, "", name): value
        for arm, each in SERVING.items()
        for name, value in zip(_COUNTED, (requests, errors if arm == "canary" else 0, 0), strict=True)
    }
    return dict.fromkeys(routes, sums)


def fill(store: Store, routes: Sequence[str]) -> None:
    """Count requests in the last time buckets, as many as a look reads."""
    for number in range(_BUCKETS):
        for first in range(0, len(routes), _BATCH):
            part = routes[first : first + _BATCH]
            store.count("filled", 0, 0, counted(part, 5, before_s=number * BUCKET_S))
