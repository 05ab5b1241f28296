"""The answers of MLflow that the registry tells apart."""

from registry_sync.errors import RegistryUnavailable


class Missing(Exception):
    """MLflow says that there is no such model, version, alias or file. The sentence is its own."""


class NotThere(RegistryUnavailable):
    """There is nothing at a path (404), and MLflow does not say that it knows what was asked for."""


class NotAccepted(RegistryUnavailable):
    """MLflow refuses what was asked. `code` is its own word for why, such as RESOURCE_ALREADY_EXISTS."""

    def __init__(self, sentence: str, code: str) -> None:
        super().__init__(sentence)
        self.code = code
