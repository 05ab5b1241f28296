"""The routes that this machine evaluates, of those that all machines share.

Each machine tells the store at every look that it runs, and learns which others do. The owner of a route
(`router.rendezvous`) evaluates it. A machine of which nothing was heard for `store.machines.SILENT_S` counts as gone,
and another one owns its routes. Two machines may own a route at once for a moment, or after a machine was suspended:
what they change is written by compare-and-set, so each change is made once.

A machine that does not serve a route cannot evaluate it, and declines it. Then the next one owns it.

While the store does not answer, all machines are silent for it. So after a gap of its own, a machine leaves the others
what they owned until they have had the time to say that they run. Else each would take over everything at once.
"""

import time
from collections.abc import Callable, Set

from gateway.telemetry.periodic import LogOnce
from router.rendezvous import owner_of
from store.errors import StoreUnavailable
from store.interface import Store
from store.machines import SILENT_S, Machines

_GAP_S = 0.75 * SILENT_S
"""A machine that heard nothing of the store for so long does not know which of the others are gone."""


class RouteShares:
    """One per companion, used by one thread. `clock` is monotonic, in seconds.

    Until `refresh` has been called, every route belongs to this machine.
    """

    def __init__(self, store: Store, machine: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._heard_s = self._trusted_s = clock()
        self._machine = machine
        self._declining: set[str] = set()
        self._is_in = False
        self._machines: Machines = {machine: frozenset()}
        self._declined: frozenset[str] = frozenset()
        self._owners: dict[str, str] = {}
        self._outage = LogOnce("gateway.shares.store_failed")

    @property
    def machines(self) -> int:
        """How many machines evaluate routes, this one included."""
        return len(self._machines.keys() | {self._machine})

    def refresh(self, *, is_able: bool) -> None:
        """Tell the store that this machine runs, and learn which others do. Never raise an error of the store.

        A machine that is not able to evaluate anything, since nothing is served yet, does not say so and owns nothing.
        """
        try:
            if not is_able:
                if self._is_in:
                    self.leave()
                return
            machines = self._store.beat(self._machine, sorted(self._declining))
            self._declining, self._is_in = set(), True
        except StoreUnavailable as error:
            self._outage.note(str(error))
            return
        self._outage.note("")
        now_s = self._clock()
        if now_s - self._heard_s > _GAP_S:
            self._trusted_s = now_s + SILENT_S
        self._heard_s = now_s
        if now_s < self._trusted_s:
            machines = {**self._machines, **machines}
        if machines.keys() != self._machines.keys():
            self._move(self._machines.keys(), machines.keys())
        self._machines = machines
        self._declined = frozenset().union(*machines.values())

    def leave(self) -> None:
        """Give up all routes, so that other machines own them at once.

        Raises:
            StoreUnavailable: the store does not answer. The others notice it after a while.
        """
        self._store.leave(self._machine)
        self._is_in = False

    def takes(self, route: str, *, is_able: bool) -> bool:
        """Return True if this machine is to evaluate the route. If it would have to and is not able, decline it."""
        is_ours = self.owns(route)
        if is_ours and not is_able:
            self._declining.add(route)
        return is_ours and is_able

    def owns(self, route: str) -> bool:
        """Return True if the route belongs to this machine, as far as it does not decline it."""
        if route in self._declined:
            others = {each for each, declined in self._machines.items() if route not in declined}
            return owner_of(route, others | {self._machine}) == self._machine
        owner = self._owners.get(route)
        if owner is None:
            owner = self._owners[route] = owner_of(route, self._machines) or self._machine
        return owner == self._machine

    def _move(self, before: Set[str], after: Set[str]) -> None:
        """Find the owners of the routes that a machine takes over or that were owned by one that is gone."""
        come = after - before
        for route, owner in list(self._owners.items()):
            if owner not in after:
                del self._owners[route]
            elif come:
                self._owners[route] = owner_of(route, (owner, *come)) or owner
