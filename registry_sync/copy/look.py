"""One look at the registry: all aliases by one question, and then the details of some versions again."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from msgspec import structs

from registry_sync.copy.due import VersionName
from registry_sync.copy.names import Book, KnownModel
from registry_sync.errors import NotAllowed, RegistryError, UnknownModel
from registry_sync.registries import Details, RemoteRegistry
from runtimes.errors import ModelRefused


class Looked(NamedTuple):
    """What a look has found, which began at `asked_s`, or `asked_epoch_s` since the epoch; with `trouble`, nothing.

    `aliases` has a sentence for a model that alone cannot be read. `details` is None for a version that the registry
    does not have any more, and lacks a version whose own cannot be read.
    """

    asked_s: float
    asked_epoch_s: float
    models: frozenset[str]
    trouble: str = ""
    aliases: Mapping[str, Mapping[str, str] | str] = {}
    details: Mapping[VersionName, Details | None] = {}


def look(
    registry: RemoteRegistry,
    models: frozenset[str],
    versions: Collection[VersionName],
    take_aliases: Callable[[Looked], None],
) -> Looked:
    """Ask for the aliases of the models, and then for the details of the versions, which takes longer. Never raise.

    `take_aliases` gets the aliases before the details are asked for, if there are any to ask for.
    """
    asked_s, asked_epoch_s = time.monotonic(), time.time()
    try:
        aliases = registry.all_aliases(models)
        if versions:
            take_aliases(Looked(asked_s, asked_epoch_s, models, "", aliases))
        details = dict(found for name in versions if name[0] in aliases for found in _details(registry, name))
    except Exception as error:  # noqa: BLE001  # whatever a registry answers must not end the thread
        is_known = isinstance(error, RegistryError | ModelRefused)
        trouble = str(error) if is_known else f"The registry cannot be read: {error!r}."
        return Looked(asked_s, asked_epoch_s, models, trouble)
    return Looked(asked_s, asked_epoch_s, models, "", aliases, details)


def _details(registry: RemoteRegistry, name: VersionName) -> Iterator[tuple[VersionName, Details | None]]:
    try:
        found = registry.details(*name)
    except UnknownModel:
        yield name, None
    except (ModelRefused, NotAllowed):
        return  # its manifest was replaced by something else, or a right was taken away: what is copied stands
    else:
        yield name, found._replace(tags=dict(found.tags))


def note(book: Book, looked: Looked, wanted: Collection[VersionName] = ()) -> None:
    """Note what a look has found. What the registry does not have any more stays in the copy.

    Of the versions in `wanted`, it is also noted when their details were read.

    Raises:
        OSError: the disk does not allow it.
    """
    for model in looked.models:
        details = {version: each for (of, version), each in looked.details.items() if of == model}
        read_s = {version: looked.asked_epoch_s for version in details if (model, version) in wanted}
        with suppress(UnicodeEncodeError):  # tags with half a surrogate pair, which is no text: it concerns them alone
            book.change(model, partial(_changed, aliases=looked.aliases.get(model), details=details, read_s=read_s))


def _changed(
    before: KnownModel,
    *,
    aliases: Mapping[str, str] | str | None,
    details: Mapping[str, Details | None],
    read_s: Mapping[str, float],
) -> KnownModel:
    versions = dict(before.versions)
    for version, found in details.items():
        known = versions.get(version)
        if known is not None and known.manifest:
            now = known.details if found is None else found
            versions[version] = structs.replace(
                known, is_gone=found is None, details=now, details_s=read_s.get(version, known.details_s)
            )
    if aliases is None:
        return structs.replace(before, is_gone=True, versions=versions, trouble="")
    if isinstance(aliases, str):
        return structs.replace(before, is_gone=False, versions=versions, trouble=aliases)
    return structs.replace(before, aliases=dict(aliases), is_gone=False, versions=versions, trouble="")
