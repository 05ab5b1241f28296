"""What the references of a declaration name at the moment at which it is applied."""

from collections.abc import Mapping
from contextlib import suppress

from gateway.control.binding import candidate_of
from gateway.control.required_tags import require_tags
from gateway.control.version_loader import DetailedVersions
from registry_sync.errors import RegistryError
from router.document.bindings import kept_names
from router.document.document import Candidate, Document
from router.document.phase import Phase
from router.spec.spec import RouteSpec
from runtimes.errors import ModelRefused


def named_now(versions: DetailedVersions, known: Document | None, spec: RouteSpec) -> Mapping[str, Candidate]:
    """Return the version that each reference names, as far as it can be found out, if the declaration needs it.

    That is each alias that is new, and each version whose digest is compared with one in quarantine or promoted.

    Raises:
        Rejected: an alias that is new in the declaration names a version without a tag that it requires.
        UnknownModel, ModelRefused, RegistryUnavailable: the tags of a version cannot be read.
    """
    kept = set() if known is None else kept_names(known, spec)
    is_promoted = known is not None and known.rollout is not None and known.rollout.phase is Phase.PROMOTED
    wanted = dict(spec.arms) if known is not None and (known.quarantine or is_promoted) else {}
    named: dict[str, Candidate] = {}
    for name, ref in {**wanted, **spec.aliases}.items():
        if name not in kept:
            with suppress(RegistryError, ModelRefused):  # binding the document says so
                named[name] = candidate_of(versions, ref)
    for name in named.keys() & spec.aliases.keys():
        require_tags(versions, spec, spec.aliases[name], named[name])
    return named
