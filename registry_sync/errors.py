"""The errors that a registry raises."""


class RegistryError(Exception):
    """Base of everything a registry raises."""


class UnknownModel(RegistryError):
    """There is no such model, version or alias. The sentence lists those that there are."""


class NoManifest(UnknownModel):
    """The version is there, and has no model.yaml."""


class RegistryUnavailable(RegistryError):
    """The registry cannot be read. Loaded versions go on serving."""


class NotAllowed(RegistryUnavailable):
    """The account lacks the right to what was asked. Other questions may be answered."""


class Unreadable(RegistryUnavailable):
    """What one model says cannot be read, such as its aliases. The registry itself is there."""


class BeingCopied(RegistryUnavailable):
    """What is asked for is not in this machine's copy of the registry yet. The companion is fetching it."""


class AlreadyPublished(RegistryError):
    """The registry has another version under this name. Versions never change."""
