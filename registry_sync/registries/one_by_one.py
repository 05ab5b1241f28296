"""Reads the aliases of several models where a registry has one question for each."""

from collections.abc import Callable, Collection, Mapping

from registry_sync.errors import NotAllowed, RegistryUnavailable, UnknownModel, Unreadable


def one_by_one(
    models: Collection[str], aliases: Callable[[str], Mapping[str, str]]
) -> Mapping[str, Mapping[str, str] | str]:
    """Return what `RemoteRegistry.all_aliases` does.

    One answer that does not come, or to which the account has no right, concerns its model alone. If a second one does
    not come, or none at all, the registry is away.

    Raises:
        RegistryUnavailable: it is.
    """
    found, failed = dict[str, Mapping[str, str] | str](), list[RegistryUnavailable]()
    for model in models:
        try:
            found[model] = aliases(model)
        except UnknownModel:
            continue
        except RegistryUnavailable as error:
            found[model] = str(error)
            failed += [] if isinstance(error, Unreadable) else [error]
            if sum(not isinstance(each, NotAllowed) for each in failed) > 1:
                raise
    if failed and len(failed) == len(found):
        raise failed[0]
    return found
