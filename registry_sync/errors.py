"""What a registry can say no with.

RegistryError
├── UnknownModel          the registry has no such model, version or alias
└── RegistryUnavailable   the registry does not answer
"""


class RegistryError(Exception):
    """Base of everything a registry raises."""


class UnknownModel(RegistryError):
    """No such model, version or alias; the sentence lists what there is."""


class RegistryUnavailable(RegistryError):
    """The registry does not answer; what is loaded goes on serving."""
