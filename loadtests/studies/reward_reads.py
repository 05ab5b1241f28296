"""How long it takes to read the sums of rewards of a route: all, and those that may have changed in a minute.

The route has two arms, a metric of an hour, and decisions in all time buckets that are kept. Sums by group are read
once a minute if a guardrail on rewards needs them. It needs a store without routes.
`python -m loadtests.studies.reward_reads --store redis://... [--json]`.
"""

import statistics
import time
from typing import Annotated

import typer

from loadtests.figures import print_figures
from router.evidence.sums import GROUPS
from router.rewards.buckets import BUCKETS_KEPT, settling_s
from router.rewards.sums import MILLION, NO_GROUP, RewardKey, RewardSum
from store.open import open_store
from store.rewarded import Rewarded

_LENGTH_S, _WINDOW_S, _EVERY_S, _FRESH_S = 60, 3600, 60, 180
_ROUNDS = 10


def main(
    store: Annotated[str, typer.Option(help="The URL of a store without routes.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Fill a store with sums, and measure reading them."""
    opened = open_store(store)
    newest_s = int(time.time()) // _LENGTH_S * _LENGTH_S
    for number in range(BUCKETS_KEPT):
        added = {
            RewardKey(newest_s - number * _LENGTH_S, _LENGTH_S, 1, arm, "1", "click", group): RewardSum(
                20, 5, 5 * MILLION, 5 * MILLION
            )
            for arm in "ab"
            for group in (NO_GROUP, *range(GROUPS))
        }
        opened.count("study", number, number + 1, {}, Rewarded({"learns": added}))
    since_s = int(newest_s - _EVERY_S - _LENGTH_S - _WINDOW_S - settling_s(_WINDOW_S) - _FRESH_S)
    figures = {}
    for by_group in (False, True):
        for name, from_s in (("all", 0), ("what may have changed", since_s)):
            taken_ms = []
            for _ in range(_ROUNDS):
                began_s = time.perf_counter()
                opened.reward_sums("learns", 0, from_s, by_group=by_group)
                taken_ms.append(1000 * (time.perf_counter() - began_s))
            figures[f"{'by group' if by_group else 'over all units'}, {name}, ms"] = statistics.median(taken_ms)
    opened.close()
    print_figures(figures, as_json=as_json)


if __name__ == "__main__":
    typer.run(main)
