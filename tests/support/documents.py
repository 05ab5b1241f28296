"""Documents, changes, reports, keys and sums for the tests of stores."""

from dataclasses import replace
from fractions import Fraction

from router.document.apply import apply
from router.document.commands import Declare, Shift
from router.document.document import Document
from router.evidence.sums import SumKey
from router.spec.parse import parse_spec
from store.api_key import ApiKey
from store.entry import Change, Entry
from store.interface import Store
from store.report import Report


def declared(route: str = "fraud") -> Document:
    arms = {"stable": "fraud@champion", "canary": "fraud:17"}
    spec = {"route": route, "arms": arms, "split": {"stable": "90%", "canary": "10%"}, "unit": "header:x-user-id"}
    return apply(None, Declare(parse_spec(spec)))


def shifted(document: Document, slots: int) -> Document:
    return apply(document, Shift({"canary": Fraction(slots, 10_000)}))


def change(what: str = "apply", **more: object) -> Change:
    return replace(Change(who="ada", at_s=1_800_000_000.25, what=what, why="because"), **more)


def entry(document: Document, what: str = "apply", **more: object) -> Entry:
    return Entry(document, change(what, **more))


def write(store: Store, document: Document, what: str = "apply", **more: object) -> None:
    store.compare_and_set([entry(document, what, **more)])


def written(store: Store, versions: int, route: str = "fraud") -> Document:
    """Write the versions 1 to `versions` of a route and return the last one."""
    document = declared(route)
    write(store, document, "v1")
    for version in range(2, versions + 1):
        document = shifted(document, version)
        write(store, document, f"v{version}")
    return document


def report(replica: str, **more: object) -> Report:
    return replace(
        Report(
            replica=replica,
            pid=4711,
            at_s=1_800_000_000.5,
            started_s=1_700_000_000.0,
            snapshot_hash="0123456789abcdef",
            routes={"fraud": 3},
            problems={"cancer": "cancer:3: the file was changed…"},
        ),
        **more,
    )


def api_key(key_id: str, **more: object) -> ApiKey:
    return replace(
        ApiKey(
            id=key_id,
            name="checkout",
            digest=bytes(range(224, 256)),
            scopes=("predict", "read"),
            created_at_s=1_800_000_000.5,
            created_by="ada",
            routes=("fraud",),
            rate_per_s=100.0,
            burst=250.0,
            expires_at_s=1_900_000_000.0,
        ),
        **more,
    )


def sum_key(bucket_s: int, policy_version: int = 1, arm: str = "canary", name: str = "requests") -> SumKey:
    return SumKey(bucket_s, policy_version, arm, model_version="17", against="", name=name)
