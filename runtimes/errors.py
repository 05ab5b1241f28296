"""The errors of model versions."""


class RuntimesError(Exception):
    """Base of everything the runtimes raise."""


class ModelRefused(RuntimesError):
    """The artifact or its manifest may not be loaded. The sentence says why and how to make it loadable."""


class StillLoading(ModelRefused):
    """The version is not there yet. It is being read, tried, loaded or started in the background."""


class ModelFailed(RuntimesError):
    """The loaded model raised while it ran, or its outputs contradict its signature."""


class InputRefused(RuntimesError):
    """The loaded model raised on these values, and works on others."""


def without_frames(error: ModelFailed) -> ModelFailed:
    """Remove from an error what refers to the frames in which it was raised, and return it.

    They hold the model's inputs. The caller keeps the error as a result, so its own frame would be part of a cycle, and
    the inputs would stay in memory until Python looks for cycles.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error
