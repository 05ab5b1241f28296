"""The errors of this package."""


class AnalysisRefused(Exception):
    """The log does not answer the question. The sentence says why, and what to do."""
