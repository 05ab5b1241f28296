"""Builds one route of the live table from versions and lanes that are there. It waits for none.

What is not there yet is asked for, and the route is built again once there is news.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gateway.control.binding import Binding, bind, is_needed, placement_named, placement_of, places
from gateway.control.redacted_names import redaction_warning
from gateway.control.version_loader import VersionLoader
from gateway.control.warm_lanes import WarmLanes
from gateway.execution.lane import Lane, LaneKey
from gateway.execution.lane_pool import LanePool
from gateway.inference.contexts import unbatched_inputs
from gateway.inference.live_table import Served, join
from gateway.inference.targeting import Targeting
from registry_sync.version import Version
from router.compile import Pin, compile_route, declared_references, references
from router.document.document import Document
from router.snapshot import Route
from runtimes.errors import ModelFailed, ModelRefused, StillLoading

Built = tuple[Route, Served]


class RouteBuilder:
    """One per replica, used by the reconciler's thread. A version that was replaced stays loaded for `keep_warm_s`."""

    def __init__(self, versions: VersionLoader, lanes: LanePool, keep_warm_s: float = 0.0) -> None:
        self._versions = versions
        self._lanes = lanes
        self._warm = WarmLanes(keep_warm_s)

    def build(
        self,
        document: Document,
        known: Built | None,
        warnings: dict[str, str],
        held: Mapping[str, Version] = MappingProxyType({}),
    ) -> Built:
        """Build the route of a document. Add a warning if it has to be served without a shadow or an idle arm.

        `known` is what the route was built to before; it is returned unchanged if nothing differs. The versions in
        `held` are taken as they are; the other names are resolved to what they name now.

        Raises:
            StillLoading: a version or a lane is not there yet.
            ModelFailed, ModelRefused, RegistryError, RouterError: the route cannot be built.
        """
        spec, refs = document.spec, references(document)
        binding = bind(self._versions, document, held=held)
        missing = dict(binding.without)
        lanes = self._arms(document, binding, missing)
        shadows = self._shadows(document, binding, missing)
        said = [f"Served without {'; '.join(f'{name}: {why}' for name, why in missing.items())}"] if missing else []
        said += dict.fromkeys(filter(None, (self._versions.reader.trouble(ref) for ref in refs.values())))
        said += filter(None, [redaction_warning(spec, next(iter(binding.arms.values())).manifest.signature)])
        if said:
            warnings[spec.route] = " ".join(said)
        pins = {
            name: Pin(key.version, key.digest, self._versions.reader.aliases_of(refs[name], key.version))
            for name, key in ((name, version.key) for name, (version, _) in {**shadows, **lanes}.items())
        }
        route = compile_route(document, pins)
        if known is not None and known[0] == route and _same(known[1], lanes, shadows):
            return known
        target = None if spec.target is None else _targeting(spec.target, next(iter(binding.arms.values())))
        built = route, Served(lanes, shadows, target, refs, declared_references(document))
        join({spec.route: built}, 0, {}, {})  # a fault must show here, and not when all routes are joined
        return built

    def rebuild_from_held(self, document: Document, known: Built, warnings: dict[str, str]) -> Built:
        """Build the route from the versions that are held, after resolving it anew has failed; else return `known`.

        A change, above all an abort, must take effect even if an alias now names a version that cannot be served, or
        that is still loading.
        """
        if known[0].is_of(document):
            return known
        try:
            return self.build(document, known, warnings, _held(document, known))
        except Exception:  # noqa: BLE001  # the caller has the reason of the first attempt
            return known

    def forget_unused(
        self,
        documents: Mapping[str, Document],
        built: Mapping[str, Built],
        problems: Mapping[str, str],
        warnings: Mapping[str, str],
        now_s: float,
    ) -> None:
        """Drop the versions and lanes that no route uses, at `now_s` of the monotonic clock.

        The versions that a route with a problem or a warning names are kept. Otherwise they would be loaded and dropped
        at every tick. What was used until recently is kept, too, unless another version waits for its memory.
        """
        used: set[LaneKey] = set()
        named: set[LaneKey] = set()
        for _, served in built.values():
            used |= {lane.key for _, lane in (*served.arms.values(), *served.shadows.values())}
        for name in (problems.keys() | warnings.keys()) & documents.keys():
            named |= places(self._versions, documents[name])
        refs = {ref for document in documents.values() for ref in references(document).values()}
        kept = used | self._warm.kept(used, now_s, is_memory_short=self._versions.is_memory_short())
        self._versions.retain(refs, {key.version for key in kept | named})
        self._lanes.retain(kept, named, is_all=not problems)

    def _arms(self, document: Document, binding: Binding, missing: dict[str, str]) -> dict[str, tuple[Version, Lane]]:
        """Return the lanes of the arms. All of them are opened at the same time.

        An arm that is not needed, and has no lane yet, is named in `missing`.
        """
        arms: dict[str, tuple[Version, Lane]] = {}
        pending: StillLoading | None = None
        for name, version in binding.arms.items():
            try:
                lane = self._lanes.lane(version, placement_of(document.spec, version.manifest))
            except StillLoading as error:
                if is_needed(document, name):
                    pending = pending or error
                missing[name] = str(error)
            else:
                arms[name] = (version, lane)
        if pending is not None:
            try:
                raise pending
            finally:
                del pending  # a cycle with this frame would keep the versions in memory
        return arms

    def _shadows(
        self, document: Document, binding: Binding, missing: dict[str, str]
    ) -> dict[str, tuple[Version, Lane]]:
        """Return the lanes of the shadows that can run now. The route does not wait for the others.

        A shadow that cannot run is named in `missing`. A later tick tries it again.
        """
        shadows: dict[str, tuple[Version, Lane]] = {}
        for shadow in document.active_shadows:
            version = binding.shadows.get(shadow.name)
            if version is None:
                continue
            try:
                lane = self._lanes.lane(version, placement_named(shadow.placement), is_shadow=True)
            except (ModelFailed, ModelRefused) as error:
                missing[shadow.name] = str(error)
            else:
                shadows[shadow.name] = (version, lane)
        return shadows


def _held(document: Document, known: Built) -> dict[str, Version]:
    """Return the versions that serve the names of the document whose declared reference is still the same."""
    served, refs = known[1], declared_references(document)
    names = {**served.arms, **served.shadows}
    return {name: version for name, (version, _) in names.items() if served.declared.get(name) == refs.get(name)}


def _same(known: Served, *served: Mapping[str, tuple[Version, Lane]]) -> bool:
    """Return True if the manifests and the lanes are the same, and not only the artifacts."""
    for before, now in zip((known.arms, known.shadows), served, strict=True):
        if before.keys() != now.keys():
            return False
        for name, (version, lane) in now.items():
            if before[name][0].manifest != version.manifest or before[name][1] is not lane:
                return False
    return True


def _targeting(condition: Mapping[str, Any], version: Version) -> Targeting:
    """Compile a route's condition for the inputs of its versions."""
    return Targeting(condition, unbatched_inputs(version.manifest.signature))
