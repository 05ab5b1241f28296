"""The errors of this package. The message of each is a sentence that says what to do."""


class BanditError(Exception):
    """The root of this package's errors. Its sentence says what to do."""
