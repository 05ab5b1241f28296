"""What the log can say no with.

LogError
├── SinkConflict      another content lies under the same key; the segment is kept
├── SinkUnavailable   the sink does not take files now; the segment is kept and tried again
└── QueryRefused      the SQL cannot be run
"""


class LogError(Exception):
    """Base of everything the log raises."""


class SinkConflict(LogError):
    """The key is taken by a file that does not hold the rows of this segment."""


class SinkUnavailable(LogError):
    """The sink cannot be written now."""


class QueryRefused(LogError):
    """The query is not valid, or names a table or column that is not there."""
