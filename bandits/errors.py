"""The errors of this package."""


class BanditError(Exception):
    """The root of this package's errors. Its sentence says what to do."""
