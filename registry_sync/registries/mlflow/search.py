"""Searches the models of an MLflow server: their names, versions and aliases."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar

from registry_sync.errors import RegistryUnavailable, UnknownModel
from registry_sync.listed import listed
from registry_sync.registries.mlflow.answers import Models, ModelVersion, OneModel, Versions
from registry_sync.registries.mlflow.client import MlflowClient
from registry_sync.registries.mlflow.errors import Missing, NotAccepted
from registry_sync.registries.one_by_one import one_by_one

_A_PAGE = 1000
_A_PAGE_OF_UNITY_CATALOG = 100
_MOST_FILTER_CHARACTERS = 3000
"""Some servers take request lines of 4096 bytes only."""

Page = TypeVar("Page")


class Search:
    """Asks the server of a client."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._page = _A_PAGE_OF_UNITY_CATALOG if client.server.is_unity_catalog else _A_PAGE
        self._takes_lists = True

    def models(self) -> Sequence[str]:
        """Return the name of every model, apart from those for which MLflow cannot be asked."""
        names = {each.name for page in self._models({}) for each in page.registered_models}
        return sorted(filter(_can_be_quoted, names))

    def versions(self, model: str) -> Iterator[ModelVersion]:
        """Return the versions of a model. There are none if there is no such model."""
        question: dict[str, str | int] = {"filter": f"name={_quoted(model)}", "max_results": self._page}
        pages = self._client.pages(f"{self._client.server.below}/model-versions/search", Versions, question)
        return (each for page in self._found(pages) for each in page.model_versions)

    def aliases(self, model: str) -> Mapping[str, str]:
        """Return the version of each alias.

        Raises:
            UnknownModel: there is no such model.
        """
        found = self._aliases_if_there(model)
        if found is None:
            raise UnknownModel(f"The registry has no model {model!r}; it has {listed(self.models())}.")
        return found

    def all_aliases(self, models: Collection[str]) -> Mapping[str, Mapping[str, str] | str]:
        """See `RemoteRegistry.all_aliases`.

        It is one request, unless there are more models than a page has. Unity Catalog does not tell aliases in its
        search: there it is one request for each model.
        """
        if not models:
            next(self._models({"max_results": 1}), None)
        if self._client.server.is_unity_catalog:
            return one_by_one(models, self._aliases_alone)
        wanted, found = set(filter(_can_be_quoted, models)), dict[str, Mapping[str, str] | str]()
        if not wanted:
            return found
        for page in self._of(wanted):
            found |= {each.name: each.by_alias for each in page.registered_models if each.name in wanted}
            if len(found) == len(wanted):
                break
        return found

    def _aliases_alone(self, model: str) -> Mapping[str, str]:
        found = self._aliases_if_there(model)
        if found is None:
            raise UnknownModel(model)
        return found

    def _aliases_if_there(self, model: str) -> Mapping[str, str] | None:
        path = f"{self._client.server.below}/registered-models/get"
        try:
            return self._client.get(path, OneModel, {"name": model}).registered_model.by_alias
        except (Missing, NotAccepted):
            return None

    def _of(self, wanted: set[str]) -> Iterator[Models]:
        """Ask for these models alone if the server can do that, or else for all."""
        names = [_quoted(model) for model in sorted(wanted)]
        filtered = f"name = {names[0]}" if len(names) == 1 else f"name IN ({', '.join(names)})"
        if len(filtered) < _MOST_FILTER_CHARACTERS and (self._takes_lists or len(names) == 1):
            try:
                yield from self._models({"filter": filtered})
            except NotAccepted:
                self._takes_lists = False  # older servers do not take IN
            else:
                return
        yield from self._models({})

    def _models(self, question: Mapping[str, str | int]) -> Iterator[Models]:
        path = f"{self._client.server.below}/registered-models/search"
        return self._found(self._client.pages(path, Models, {"max_results": self._page, **question}))

    def _found(self, pages: Iterator[Page]) -> Iterator[Page]:
        try:
            yield from pages
        except Missing as error:
            raise RegistryUnavailable(f"MLflow at {self._client.server.url} cannot be searched: {error}.") from error


def _can_be_quoted(name: str) -> bool:
    return not ("'" in name and '"' in name)


def _quoted(name: str) -> str:
    quote = "'" if "'" not in name else '"'
    if not _can_be_quoted(name):
        raise UnknownModel(f"The registry has no model {name!r}: MLflow cannot be asked for a name with both quotes.")
    return f"{quote}{name}{quote}"
