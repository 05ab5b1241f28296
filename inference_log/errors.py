"""The errors of the log."""


class LogError(Exception):
    """Base of everything the log raises."""


class SinkConflict(LogError):
    """Another file has the key, without the rows of this segment. The segment is kept."""


class SinkUnavailable(LogError):
    """The sink cannot be written now. The segment is kept and tried again. `code` is a short name of what failed."""

    def __init__(self, sentence: str, code: str = "disk") -> None:
        super().__init__(sentence)
        self.code = code


class SinkRefused(LogError):
    """The sink will never take this file. After a few tries the segment is set aside."""


class LogUnavailable(LogError):
    """The log cannot be read, or changed, now."""


class Interrupted(LogError):
    """The process is about to end. The segment is kept for the next one."""


class QueryRefused(LogError):
    """The SQL is not valid, or names a table or column that does not exist."""


class StatementFailed(LogError):
    """Athena has not run a statement."""


class ImportRefused(LogError):
    """Outcomes cannot be imported. The sentence says why."""
