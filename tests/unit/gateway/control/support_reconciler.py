"""A reconciler over a real store and a real registry, whose ticks come when a test asks for them."""

from pathlib import Path

from gateway.control.desired_state import DesiredState
from gateway.control.last_known import LastKnownFile
from gateway.control.reconciler import Reconciler
from gateway.control.report import Identity
from gateway.control.version_loader import VersionLoader
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.lane_pool import LanePool
from gateway.execution.open_in_replica import LaneOptions
from gateway.inference.live_table import LiveTableHolder
from registry_sync.background import Start, at_once
from registry_sync.catalogue import Catalogue
from registry_sync.reference_reader import ReferenceReader
from registry_sync.registries.directory import DirectoryRegistry
from runtimes.load_options import LoadOptions
from tests.support.flaky_store import FlakyStore

ONE = {"route": "r", "arms": {"a": "linear:1"}, "split": {"a": "100%"}}
TWO = {"route": "r", "arms": {"a": "linear:2"}, "split": {"a": "100%"}}
DAMAGED = {"route": "r", "arms": {"a": "damaged:1"}, "split": {"a": "100%"}}
OTHER = {"route": "other", "arms": {"a": "linear:1"}, "split": {"a": "100%"}}


class Bench:
    """One replica's reconciler; the time of each tick is given."""

    def __init__(self, root, registry, store: FlakyStore | None = None, start: Start = at_once) -> None:
        self.store = store or FlakyStore(root)
        self.catalogue = Catalogue(
            DirectoryRegistry(registry) if isinstance(registry, Path) else registry, LoadOptions(), start=start
        )
        self.holder = LiveTableHolder()
        self.now_s = 100.0
        self.keys: list[list[str]] = []
        self.reader = ReferenceReader(self.catalogue, start)
        self.read_s = self.now_s
        self.lanes = LanePool(
            EndOfTurn(), LaneOptions(2, 0.002), None, start, lambda: self.now_s, loader=self.catalogue.loader
        )
        self.desired = DesiredState(self.store, LastKnownFile(root / "remembered.json", "redis://store.example"))
        self.reconciler = Reconciler(
            identity=Identity("me", 7, 1.0),
            store=self.store,
            desired=self.desired,
            versions=VersionLoader(self.catalogue, self.reader),
            lanes=self.lanes,
            holder=self.holder,
            retry_every_s=10.0,
            take_keys=lambda keys: self.keys.append([key.id for key in keys]),
        )

    def tick(self, after_s: float = 0.1):
        self.now_s += after_s
        if self.now_s - self.read_s >= 10.0:  # the thread that reads the registry
            self.reader.read_all()
            self.read_s = self.now_s
        self.reconciler.tick(self.now_s)
        return self.holder.current

    def version(self, route: str = "r") -> str:
        return self.holder.current.routes[route].route.arms[0].version
