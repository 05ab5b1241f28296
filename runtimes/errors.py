"""The errors of model versions."""


class RuntimesError(Exception):
    """Base of everything the runtimes raise."""


class ModelRefused(RuntimesError):
    """The artifact or its manifest may not be loaded. The sentence says why and how to make it loadable."""


class ModelFailed(RuntimesError):
    """The loaded model raised while it ran, or its outputs contradict its signature."""


class InputRefused(RuntimesError):
    """The loaded model raised on these values, and works on others."""
