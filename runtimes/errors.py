"""What can be wrong with a model version.

RuntimesError
├── ModelRefused   the artifact or its manifest may not be loaded
├── ModelFailed    a loaded model raised, or answered something other than its signature says
└── InputRefused   a loaded model raised on these values, and works on others
"""


class RuntimesError(Exception):
    """Base of everything the runtimes raise."""


class ModelRefused(RuntimesError):
    """The version may not be loaded; the sentence says why and what would make it loadable."""


class ModelFailed(RuntimesError):
    """The model raised while it ran, or its answer contradicts its signature."""


class InputRefused(RuntimesError):
    """The model raised on these values, though it goes on answering others."""
