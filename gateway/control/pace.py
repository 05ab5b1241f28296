"""How long a machine waits between two additions to a store that many machines share."""

_FEW = 3
"""So many machines add as often as they look: each waits for the store's reply before it sends more."""
_SHARE = 0.5
"""The part of the store's time that all machines together may take for additions."""
_LONGEST_S = 10.0


def pause_s(machines: int, took_s: float) -> float:
    """Return how long to wait after an addition for which the store has taken `took_s`.

    All machines together then take about half of the store's time: one that gets slower is asked less often. What is
    added later is added as fewer, larger sums, so nothing piles up.
    """
    return 0.0 if machines <= _FEW else min(_LONGEST_S, machines * took_s / _SHARE)
