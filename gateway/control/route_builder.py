"""Builds one route of the live table: loads its versions, opens their lanes, compiles the route."""

from collections.abc import Mapping
from typing import Any

from gateway.control.binding import Binding, bind, placement_named, placement_of, places
from gateway.execution.lane import Lane, LaneKey
from gateway.execution.lane_pool import LanePool
from gateway.inference.live_table import Served
from gateway.inference.targeting import Targeting
from registry_sync.catalogue import Catalogue, Version
from registry_sync.errors import RegistryError
from router.document.document import Document
from router.errors import RouterError
from router.snapshot import Pin, Route, compile_route, references
from runtimes.errors import ModelFailed, ModelRefused

Built = tuple[Route, Served]
BUILD_ERRORS = (ModelFailed, ModelRefused, RegistryError, RouterError)
"""What `RouteBuilder` raises if a route cannot be built."""


class RouteBuilder:
    """One per replica, used by the reconciler's thread."""

    def __init__(self, catalogue: Catalogue, lanes: LanePool) -> None:
        self._catalogue = catalogue
        self._lanes = lanes

    def build(self, document: Document, known: Built | None, warnings: dict[str, str], *, is_resolving: bool) -> Built:
        """Build the route of a document. Add a warning if it has to be served without a shadow or an idle arm.

        `known` is what the route was built to before; it is returned unchanged if nothing differs. If `is_resolving`,
        every reference is looked up in the registry again; otherwise versions that are held are taken as they are.

        Raises:
            ModelFailed, ModelRefused, RegistryError, RouterError: the route cannot be built.
        """
        spec, held = document.spec, {} if is_resolving else _held(document, known)
        binding = bind(self._catalogue, document, held=held)
        lanes = {
            name: (version, self._lanes.lane(version, placement_of(spec, version.manifest)))
            for name, version in binding.arms.items()
        }
        shadows = self._shadows(document, binding, warnings)
        pins = {
            name: Pin(key.version, key.digest, self._catalogue.aliases_of(key, is_fresh=is_resolving))
            for name, key in ((name, version.key) for name, (version, _) in {**shadows, **lanes}.items())
        }
        route = compile_route(document, pins)
        if known is not None and known[0] == route and _same(known[1], lanes, shadows):
            return known
        target = None if spec.target is None else _targeting(spec.target, next(iter(binding.arms.values())))
        return route, Served(lanes, shadows, target, references(document))

    def is_current(self, known: Built) -> bool:
        """Return True if the route would be built as it was, by what the registry said at the catalogue's last look."""
        route, served = known
        aliases = {arm.name: arm.aliases for arm in route.arms}
        return all(
            self._catalogue.is_current(served.refs[name], version)
            and aliases.get(name, frozenset()) == self._catalogue.aliases_of(version.key, is_fresh=False)
            for name, (version, _) in served.arms.items()
        ) and all(
            self._catalogue.is_current(served.refs[name], version) for name, (version, _) in served.shadows.items()
        )

    def rebuild_from_held(self, document: Document, known: Built, warnings: dict[str, str]) -> Built:
        """Build the route from the versions that are held, after resolving it anew has failed; else return `known`.

        A change, above all an abort, must take effect even if an alias now names a version that cannot be served.
        """
        if known[0].document_version == document.version:
            return known
        try:
            return self.build(document, known, warnings, is_resolving=False)
        except BUILD_ERRORS:
            return known

    def forget_unused(
        self,
        documents: Mapping[str, Document],
        built: Mapping[str, Built],
        problems: Mapping[str, str],
        warnings: Mapping[str, str],
    ) -> None:
        """Drop the versions and lanes that no route uses.

        The versions that a route with a problem or a warning names are kept. Otherwise they would be loaded and dropped
        at every tick.
        """
        used: set[LaneKey] = set()
        for _, served in built.values():
            used |= {lane.key for _, lane in (*served.arms.values(), *served.shadows.values())}
        for name in (problems.keys() | warnings.keys()) & documents.keys():
            used |= places(self._catalogue, documents[name])
        self._catalogue.retain({key.version for key in used})
        self._lanes.retain(used, is_all=not problems)

    def _shadows(
        self, document: Document, binding: Binding, warnings: dict[str, str]
    ) -> dict[str, tuple[Version, Lane]]:
        """Open the lanes of the shadows that can run now. The route does not wait for the others.

        A shadow that cannot run is named in a warning. A later tick tries it again.
        """
        shadows: dict[str, tuple[Version, Lane]] = {}
        missing = dict(binding.without)
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
        if missing:
            reasons = "; ".join(f"{name}: {why}" for name, why in missing.items())
            warnings[document.spec.route] = f"Served without {reasons}"
        return shadows


def _held(document: Document, known: Built | None) -> dict[str, Version]:
    """Return the versions that the document's names were bound to, where the reference is still the same."""
    if known is None:
        return {}
    served, refs = known[1], references(document)
    names = {**served.arms, **served.shadows}
    return {name: version for name, (version, _) in names.items() if served.refs.get(name) == refs.get(name)}


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
    unbatched = {spec.name for spec in version.manifest.inputs if spec.shape[:1] != (-1,)}
    return Targeting(condition, unbatched)
