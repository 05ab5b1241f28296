"""A store, a registry, replicas that advance rollouts, and traffic that is added as sums; time is a number."""

from collections.abc import Mapping

from gateway.control.binding import bind, candidate_of, candidates
from gateway.control.changes import Changes, Note
from gateway.control.follower import Follower
from gateway.control.rollouts import RolloutDriver
from registry_sync.catalogue import Catalogue
from registry_sync.details_reader import DetailsReader
from registry_sync.reference_reader import ReferenceReader
from registry_sync.registries.directory import DirectoryRegistry
from router.document.commands import Start
from router.document.document import Document
from router.evidence.sums import BUCKET_S, ERRORS, REQUESTS, SumKey
from router.spec.parse import parse_spec
from runtimes.load_options import LoadOptions
from tests.support.flaky_store import FlakyStore

T0 = 1_800_000_000.0
ROLLOUT = {
    "route": "r",
    "arms": {"stable": "linear@champion", "canary": "linear@challenger"},
    "rollout": {"of": "canary", "steps": ["10%", "50%"], "every": "1m"},
    "guardrails": [{"errors": {"worse_by": "1%"}}],
}
SPLIT = {
    "route": "s",
    "arms": {"stable": "linear:1", "b": "linear:2"},
    "split": {"stable": "50%", "b": "50%"},
    "fallback": "stable",
    "guardrails": [{"errors": {"worse_by": "1%"}}],
}


class Replica:
    """A replica with a connection and a catalogue of its own. It is its own `ReplicaView`, of which all can be set.

    `seen` are the documents that it knows, if they are not the newest.
    """

    def __init__(self, site, name: str, store) -> None:
        self.site = site
        self.store = store
        self.trouble = ""
        self.seen = None
        self.catalogue = Catalogue(DirectoryRegistry(site.registry), LoadOptions())
        self.candidates = lambda route: candidates(bind(self.catalogue, site.store.real.read(route).document).arms)
        self.changes = Changes(store, self.catalogue, name, self)
        self.reader = ReferenceReader(self.catalogue)
        self.details = DetailsReader(self.catalogue.details)
        self.require = lambda *_: None
        follower = Follower(self.reader, self.details, self.catalogue, require=lambda *asked: self.require(*asked))
        self.driver = RolloutDriver(store, follower, self.changes, self)

    @property
    def documents(self) -> Mapping[str, Document]:
        return self.seen or self.site.documents()


class Site:
    """A store, a registry, replicas, and traffic as its sums; time is a number."""

    def __init__(self, folder, registry) -> None:
        self.registry = registry
        self.now_s = T0
        self.store = FlakyStore(folder, now=lambda: self.now_s)
        self.replica = Replica(self, "replica-0", self.store)
        self.driver = self.replica.driver
        self._counted = 0

    def documents(self):
        return dict(self.store.real.documents())

    def document(self, route: str = "r"):
        return self.store.real.read(route).document

    def stands(self, route: str = "r") -> tuple[str, int]:
        document = self.document(route)
        return str(document.rollout.phase), document.weights["canary"]

    def declare(self, raw: dict, **more) -> None:
        spec = parse_spec({**raw, **more})
        known = self.store.real.read(spec.route)
        self.replica.changes.declare([spec], {spec.route: known.document.version if known else 0}, Note("ada", "apply"))

    def start(self) -> None:
        candidate = candidate_of(self.replica.catalogue, self.document().spec.arms["canary"])
        self.replica.changes.change("r", lambda _: Start(candidate, self.now_s), Note("ada", "start"))

    def begin(self, **more) -> None:
        """Declare a rollout and start it."""
        self.declare(ROLLOUT, **more)
        self.start()

    def count(self, arm: str, requests: int, errors: int = 0, route: str = "r", **more) -> None:
        """Add traffic of now, under the document of now."""
        self.add({REQUESTS: requests, ERRORS: errors}, arm, route, **more)

    def add(
        self, added: dict, arm: str, route: str = "r", model: str = "", against: str = "", at_s: float | None = None
    ) -> None:
        model = model or self.replica.candidates(route)[arm].version
        bucket_s = int(self.now_s if at_s is None else at_s) // BUCKET_S * BUCKET_S
        policy = self.document(route).version
        beside = self.replica.candidates(route)[against].version if against else ""
        sums = {SumKey(bucket_s, policy, arm, model, against, name, beside): value for name, value in added.items()}
        assert self.store.real.count("segment", self._counted, self._counted + 1, {route: sums}) == self._counted + 1
        self._counted += 1

    def tick(self, after_s: float = 0.5) -> None:
        """Let time pass while the companion looks every two seconds."""
        until_s = self.now_s + after_s
        while self.now_s < until_s:
            self.now_s = min(until_s, self.now_s + 2.0)
            self.look()

    def look(self) -> None:
        """Let the companion read the registry, then look once."""
        self.replica.reader.read_all()
        self.driver.tick(self.now_s)

    def jump(self, after_s: float) -> None:
        """Let the clock move without a look, then look."""
        self.now_s += after_s
        self.look()

    def what(self, route: str = "r") -> list[str]:
        """Return the commands of the route's history, oldest first."""
        return [entry.change.what for entry in self.store.real.history(route, 100)][::-1]

    def newest(self, route: str = "r"):
        return self.store.real.read(route).change

    def follow(self, version: str) -> None:
        self.point(champion="1", challenger=version)

    def point(self, **aliases: str) -> None:
        """Let the aliases of the model name these versions, and have no others."""
        lines = [f"{alias}: '{version}'\n" for alias, version in aliases.items()]
        (self.registry / "linear" / "aliases.yaml").write_text("".join(lines))
