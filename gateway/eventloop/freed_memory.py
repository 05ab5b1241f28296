"""How the C library returns freed memory to the system.

By default glibc keeps blocks as large as those that were freed before, up to 32 MB, for later ones. After a rush of
large bodies, a replica would go on holding what they took.
"""

import asyncio
import ctypes

from gateway.eventloop.body_budget import BodyBudget

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""The parameters' numbers in malloc.h."""
_MAPPED_ABOVE_BYTES = 4 * 1024 * 1024
_KEPT_BYTES = 32 * 1024 * 1024
_LOOK_S = 2.0
_RUSH_BYTES = 64 * 1024 * 1024


def return_large_blocks() -> None:
    """Have each block above 4 MiB returned when it is freed. Do nothing where the C library is not glibc."""
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(_MMAP_THRESHOLD, _MAPPED_ABOVE_BYTES)
        tune(_TRIM_THRESHOLD, _KEPT_BYTES)


def trim() -> None:
    """Return what is free between blocks in use. This takes some milliseconds, without the interpreter's lock."""
    found = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if found is not None:
        found(0)


async def trim_after_rushes(budget: BodyBudget) -> None:
    """Return what is free between blocks in use, whenever large bodies took much memory and all of them are done."""
    while True:
        await asyncio.sleep(_LOOK_S)
        if budget.left - budget.least_left > _RUSH_BYTES and budget.is_unused():
            budget.least_left = budget.left
            await asyncio.to_thread(trim)
