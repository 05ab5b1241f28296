"""The documents of a store as they are in force: with the weights that bandits have learned."""

from collections.abc import Mapping
from dataclasses import replace

from router.document.document import Document
from router.document.learned import with_learned
from store.entry import Entry
from store.interface import Store


def documents_in_force(store: Store) -> Mapping[str, Document]:
    """Return the newest documents, by route.

    Raises:
        StoreUnavailable: the store does not answer.
        Corrupt: a stored document cannot be read back.
    """
    documents = store.documents()
    if all(document.learning is None for document in documents.values()):
        return documents
    learned = store.policies(0).of
    return {route: with_learned(document, learned.get(route)) for route, document in documents.items()}


def entry_in_force(store: Store, route: str) -> Entry | None:
    """Return the newest document of one route and the change that made it, or None.

    Raises:
        StoreUnavailable, Corrupt: as for all documents.
    """
    entry = store.read(route)
    if entry is None or entry.document.learning is None:
        return entry
    return replace(entry, document=with_learned(entry.document, store.policy(route)))
